"""Layers that treat each channel by itself, on tensors whose first axis combines the batch with other axes."""

from __future__ import annotations

from collections.abc import Callable

from netloom.compile.importers.layer_graph.axis_order import AxisOrder
from netloom.compile.importers.layer_graph.values import Tensor


def per_channel(builder: AxisOrder, tensor: Tensor, add: Callable[[Tensor], Tensor]) -> Tensor:
    """The result of a layer that computes one statistic for each channel, which is axis 1 of the file.

    A tensor (N·T, C, …), as in LeViT, becomes (N, C, L) for the layer: its statistics do not depend on the order of
    the other values.

    Raises:
        UnsupportedOperatorError: The first axis of the file does not contain the batch.
    """
    merged = [axis for axis in tensor.axes[0] if axis != 0] if tensor.axes else []
    if not merged or 0 not in tensor.axes[0] or tensor.rank < 2:
        return add(builder.to_batch_first(tensor))
    behind = [axis for group in tensor.axes[2:] for axis in group]
    flat = Tensor(tensor.ref, tensor.spec, ((0,), tensor.axes[1], (*merged, *behind)))
    result = add(builder.to_batch_first(flat))
    lengths = [*(tensor.size(axis) for axis in merged), *(tensor.length(axis) for axis in range(2, tensor.rank))]
    result = builder.reshape(result, [tensor.length(1), *lengths])
    positions = {axis: number for number, axis in enumerate(merged, 2)}
    first = tuple(positions.get(axis, 0) for axis in tensor.axes[0])
    other_axes = tuple((number,) for number in range(2 + len(merged), 2 + len(lengths)))
    return Tensor(result.ref, result.spec, (first, (1,), *other_axes))
