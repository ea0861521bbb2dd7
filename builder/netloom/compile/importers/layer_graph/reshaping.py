"""Reshape and broadcast tensors in which one axis of the file may combine the batch with other axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import BATCH, Constant, Tensor, UnsupportedOperatorError


def reshape(builder: GraphBuilder, tensor: Tensor, requested: Sequence[int], allow_zero: bool) -> Tensor:
    """The tensor in another shape of the file; axes that the reshape does not change keep their port axes.

    Raises:
        UnsupportedOperatorError: The reshape would split the batch.
    """
    new_shape = _resolve_shape(tensor, list(requested), allow_zero)
    order: list[int] = []
    sizes: list[int] = []
    axes: list[tuple[int, ...]] = []
    for old_block, new_block in _blocks(tensor.shape, new_shape):
        inner = [part for axis in old_block for part in tensor.axes[axis]]
        order += [part for part in inner if part]
        new_lengths = [new_shape[axis] for axis in new_block]
        nonempty_groups = [tensor.axes[axis] for axis in old_block if tensor.axes[axis]]
        if old_block and nonempty_groups == [tensor.axes[old_block[0]]] and len(new_block) == 1:
            # The axis stays, possibly without neighbors of length 1.
            axes.append(tuple(_append(sizes, tensor.size(part)) if part else 0 for part in inner))
        elif 0 in inner:
            front = math.prod(tensor.size(part) for part in inner[: inner.index(0)])
            axes += _with_batch(new_lengths, front, sizes)
        else:
            axes += [() if length == 1 else (_append(sizes, length),) for length in new_lengths]
    if not sizes and len(tensor.spec.shape) > 1:
        # Only axes of length 1 remain besides the batch; one of them stays, as layers need at least one axis.
        free_axis = next((position for position, group in enumerate(axes) if group == ()), None)
        if free_axis is not None:
            axes[free_axis] = (_append(sizes, 1),)
    unit_axes = [part for part in range(1, len(tensor.spec.shape)) if part not in order]
    permuted = builder.permute(tensor, [*order, *unit_axes])
    reshaped = builder.reshape(permuted, sizes)
    return Tensor(reshaped.ref, reshaped.spec, tuple(axes), tensor.boolean)


def _blocks(old_shape: Sequence[int], new_shape: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The smallest groups of consecutive axes with equally many values before and after; each is reshaped by itself."""
    blocks: list[tuple[list[int], list[int]]] = []
    old_axis = new_axis = 0
    while old_axis < len(old_shape) or new_axis < len(new_shape):
        old_block = [old_axis] if old_axis < len(old_shape) else []
        new_block = [new_axis] if new_axis < len(new_shape) else []
        old_axis, new_axis = old_axis + len(old_block), new_axis + len(new_block)
        before, after = math.prod(old_shape[i] for i in old_block), math.prod(new_shape[i] for i in new_block)
        while before != after:
            if before < after and old_axis < len(old_shape):
                old_block, before, old_axis = [*old_block, old_axis], before * old_shape[old_axis], old_axis + 1
            elif new_axis < len(new_shape):
                new_block, after, new_axis = [*new_block, new_axis], after * new_shape[new_axis], new_axis + 1
            else:
                raise UnsupportedOperatorError("its new shape has a different number of values")
        blocks.append((old_block, new_block))
    return blocks


def _append(sizes: list[int], size: int) -> int:
    """Add an axis of the new port; returns its number, which begins at 1 after the batch."""
    sizes.append(size)
    return len(sizes)


def _with_batch(lengths: list[int], front: int, sizes: list[int]) -> list[tuple[int, ...]]:
    """The new axes of a block that contains the batch; `front` is the product of the lengths before the batch."""
    axes: list[tuple[int, ...]] = []

    def axis(length: int) -> tuple[int, ...]:
        return () if length == 1 else (_append(sizes, length),)

    batch_placed = False
    for length in lengths:
        if batch_placed or (length % BATCH and front % length == 0):
            # An axis before the batch divides what is left of the length before it; axes after the batch are free.
            front = front if batch_placed else front // length
            axes.append(axis(length))
        elif length % (front * BATCH) == 0:
            # The axis that combines the rest before the batch, the batch, and what follows it
            axes.append((*axis(front), 0, *axis(length // front // BATCH)))
            batch_placed = True
        else:
            raise UnsupportedOperatorError("it would split the batch axis")
    if not batch_placed:
        raise UnsupportedOperatorError("it would split the batch axis")
    return axes


def _resolve_shape(tensor: Tensor, requested: list[int], allow_zero: bool) -> list[int]:
    """The new shape with -1 and 0 resolved, and with BATCH where the file has the length 1 of a single example.

    https://onnx.ai/onnx/operators/onnx__Reshape.html
    """
    total = math.prod(tensor.shape)
    shape = [
        tensor.shape[position] if size == 0 and not allow_zero and position < tensor.rank else size
        for position, size in enumerate(requested)
    ]
    if shape.count(-1) > 1 or any(size < -1 or size == 0 for size in shape):
        raise UnsupportedOperatorError("its new shape is invalid")
    product = math.prod(size for size in shape if size != -1)
    if -1 in shape and total % product == 0:
        inferred = total // product
        # A file that was exported with one example has 1 where the batch is; -1 must not absorb the batch then.
        if not (
            inferred > BATCH
            and inferred % BATCH == 0
            and _batch_position(tensor, _with_inferred(shape, inferred // BATCH)) is not None
            and 1 in shape
        ):
            return _with_inferred(shape, inferred)
    if -1 in shape:
        if total % (product * BATCH):
            raise UnsupportedOperatorError("its new shape has a different number of values")
        shape = _with_inferred(shape, total // product // BATCH)
    if math.prod(shape) == total:
        return shape
    if math.prod(shape) * BATCH != total:
        raise UnsupportedOperatorError("its new shape has a different number of values")
    position = _batch_position(tensor, shape)
    if position is None:
        raise UnsupportedOperatorError(
            "the batch axis cannot be identified in its new shape; export the network with a dynamic batch axis"
        )
    shape[position] *= BATCH
    return shape


def _with_inferred(shape: list[int], size: int) -> list[int]:
    return [size if old == -1 else old for old in shape]


def _batch_position(tensor: Tensor, shape: list[int]) -> int | None:
    """The axis of the batch in a shape that was written for one example; None if it cannot be identified."""
    flat = [part for group in tensor.axes for part in group]
    front = math.prod(tensor.size(part) for part in flat[: flat.index(0)])
    fitting = [position for position in range(len(shape)) if math.prod(shape[:position]) == front]
    if not fitting:
        return None
    ones = [position for position in fitting if shape[position] == 1]
    last = len(shape) - 1
    if not ones and fitting == [last] and last > 0 and math.prod(shape[:last]) == front:
        return last - 1  # (steps, features): the steps of all examples, rather than features of several
    if tensor.batch in fitting and (shape[tensor.batch] == 1 or len(tensor.axes[tensor.batch]) > 1):
        return tensor.batch
    return ones[0] if ones else fitting[-1]


def broadcast_to(builder: GraphBuilder, tensor: Tensor, target: list[int], name: str) -> Tensor:
    """The tensor broadcast along axes of length 1, https://onnx.ai/onnx/operators/onnx__Expand.html.

    Raises:
        UnsupportedOperatorError: The batch axis would be repeated.
    """
    rank = max(tensor.rank, len(target))
    shape = [*(1,) * (rank - len(target)), *target]
    current = [*(1,) * (rank - tensor.rank), *tensor.shape]
    if all(size in (1, mine) for size, mine in zip(shape, current, strict=True)):
        return Tensor(tensor.ref, tensor.spec, ((),) * (rank - tensor.rank) + tensor.axes, tensor.boolean)
    expanded_axes = [
        axis for axis, (size, mine) in enumerate(zip(shape, current, strict=True)) if size not in (1, mine)
    ]
    if any(current[axis] >= BATCH or shape[axis] >= BATCH for axis in expanded_axes):
        raise UnsupportedOperatorError("it repeats the batch axis")
    file_axis = expanded_axes[0] - (rank - tensor.rank)
    if len(expanded_axes) == 1 and file_axis > 0 and not tensor.axes[file_axis]:
        return _expand_new_axis(builder, tensor, file_axis, shape[expanded_axes[0]])
    # In general, multiplying by ones broadcasts all axes at once.
    lengths = [size if axis in expanded_axes else 1 for axis, size in enumerate(shape)]
    ones = Constant(np.broadcast_to(np.float32(1), lengths))
    tensors, axes = builder.align([tensor, ones])
    product = builder.add_layer("Multiply", dict(zip("ab", tensors, strict=True)), name)
    return Tensor(product.ref, product.spec, axes, tensor.boolean)


def repeat(builder: GraphBuilder, tensor: Tensor, times: list[int], name: str) -> Tensor:
    """The tensor repeated along its last axes, as torch.Tensor.repeat and https://onnx.ai/onnx/operators/onnx__Tile.html.

    Raises:
        UnsupportedOperatorError: The batch axis would be repeated.
    """
    result = Tensor(tensor.ref, tensor.spec, ((),) * (len(times) - tensor.rank) + tensor.axes, tensor.boolean)
    for axis, number in enumerate(times):
        if number == 1:
            continue
        if not result.axes[axis]:
            sizes = [number if position == axis else size for position, size in enumerate(result.shape)]
            result = broadcast_to(builder, result, sizes, name)
        else:
            port_axis = builder.single_axis(result, axis)
            result = builder.with_axes_of(
                builder.add_layer("Repeat", result, name, axis=port_axis, times=number), result
            )
    return result


def _expand_new_axis(builder: GraphBuilder, tensor: Tensor, file_axis: int, length: int) -> Tensor:
    """The tensor with an axis of length 1, which the port lacks, expanded; it is added after the axis before it."""
    behind = max(tensor.axes[file_axis - 1], default=len(tensor.spec.shape) - 1)
    new_axis = behind + 1
    unsqueezed = builder.add_layer("Unsqueeze", tensor, "unsqueeze", axis=new_axis)
    expanded = builder.add_layer("Expand", unsqueezed, "expand", axis=new_axis, length=length)
    axes = [tuple(part + (part >= new_axis) for part in group) for group in tensor.axes]
    axes[file_axis] = (new_axis,)
    return Tensor(expanded.ref, expanded.spec, tuple(axes), tensor.boolean)
