"""What the methods about one number within the network share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from netloom.explain.attribution.layer_method import Layered
from netloom.explain.core.errors import ExplainError, UnknownChoiceError

if TYPE_CHECKING:
    from netloom.explain.core.activation_hook import Tapped
    from netloom.explain.core.context import Subject


class OfNeuron(Layered):
    """A method about one number of a node's output."""

    neuron: str = Field(
        "", max_length=80, description="Index in the output of the layer, such as 3 or 3,0,1; empty: the largest"
    )

    def chosen(self, subject: Subject, tapped: Tapped) -> tuple[int, ...]:
        """The place that is asked for, or that of the number which is farthest from zero.

        Raises:
            ExplainError: there is no such place.
        """
        if tapped.seen is None:
            raise ExplainError("This layer has no output for this example.")
        tapped.subject = subject
        seen = tapped.seen[0].detach().numpy()
        if not self.neuron:
            return tuple(int(place) for place in np.unravel_index(int(np.abs(seen).argmax()), seen.shape))
        try:
            place = tuple(int(part) for part in self.neuron.split(","))
            fits = len(place) == seen.ndim and all(
                0 <= part < size for part, size in zip(place, seen.shape, strict=True)
            )
        except ValueError:
            fits = False
        if not fits:
            last = ",".join(str(size - 1) for size in seen.shape)
            raise UnknownChoiceError(f"There is no neuron {self.neuron[:60]!r} in this layer; the last is {last}.")
        return place
