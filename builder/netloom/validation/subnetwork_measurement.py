"""The measurement of a node that uses another network, from the totals of that network."""

from __future__ import annotations

import math
from collections.abc import Mapping

from netloom.layers import TensorSpec
from netloom.layers.subnetwork import Subnetwork
from netloom.validation.facts import Totals, bounded, tensor_bytes
from netloom.validation.measure import Measured


def subnetwork_measurement(
    layer: Subnetwork,
    inputs: Mapping[str, TensorSpec],
    outputs: dict[str, TensorSpec],
    totals: Totals,
    learned: Mapping[str, tuple[int, ...]],
    steps: int,
    use: int,
) -> Measured:
    """Return the measurement of a subnetwork node.

    `inputs` and `outputs` are its tensors by port; `totals` are those of its network, and
    `learned` the shapes of its learned initial states. The network runs for `steps` steps in each repetition. Equal
    uses of a network have the same number `use`.
    """
    first = next(iter(inputs.values()), None)
    if layer.repeat > 1 and next(iter(outputs.values()), None) != first:
        gives = ", ".join(str(spec) if first is None else spec.beside(first) for spec in outputs.values())
        return Measured(
            refusal=f"a repeated network must return the shape of its input, but it returns {gives}", code="repeat"
        )
    times = layer.repeat * steps
    copies = 1 if layer.shared else layer.repeat
    # The results of the steps are copied into one tensor.
    copied_bytes = sum(map(tensor_bytes, outputs.values())) if layer.is_loop else 0
    # One entry for all weights of the network: a subnetwork shares them as a whole, with an equal use of it.
    whole = (layer.network, layer.repeat, layer.shared, layer.is_loop, use)
    return Measured(
        outputs,
        bounded(totals.parameters * copies + sum(map(math.prod, learned.values()))),
        bounded(totals.flops * times),
        bounded(totals.activation_bytes * times + copied_bytes),
        frozen=bounded((totals.parameters - totals.trainable) * copies),
        weights=((whole, (bounded(totals.parameters * copies),)), *learned.items()),
    )
