"""The base class of methods that explain one unit of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from netloom.explain.attribution.layer.layer_method import LayerExplainer
from netloom.explain.core.errors import ExplainError, UnknownChoiceError

if TYPE_CHECKING:
    from netloom.explain.core.activation_hook import HookedLayer
    from netloom.explain.core.context import ExplanationContext


class NeuronExplainer(LayerExplainer):
    """A method that explains one unit of a node's output."""

    neuron: str = Field(
        "", max_length=80, description="Index in the output of the layer, such as 3 or 3,0,1; empty: the largest"
    )

    def selected_neuron(self, context: ExplanationContext, hooked: HookedLayer) -> tuple[int, ...]:
        """Return the index of the chosen unit, or of the unit with the largest magnitude.

        Raises:
            ExplainError: The index does not exist, or the layer has no output.
        """
        if hooked.activation is None:
            raise ExplainError("This layer has no output for this example.")
        hooked.context = context
        activation = hooked.activation[0].detach().numpy()
        if not self.neuron:
            return tuple(
                int(position) for position in np.unravel_index(int(np.abs(activation).argmax()), activation.shape)
            )
        try:
            index = tuple(int(part) for part in self.neuron.split(","))
            is_valid = len(index) == activation.ndim and all(
                0 <= part < size for part, size in zip(index, activation.shape, strict=True)
            )
        except ValueError:
            is_valid = False
        if not is_valid:
            last = ",".join(str(size - 1) for size in activation.shape)
            raise UnknownChoiceError(f"There is no neuron {self.neuron[:60]!r} in this layer; the last is {last}.")
        return index
