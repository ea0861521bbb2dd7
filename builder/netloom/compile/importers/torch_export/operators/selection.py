"""Operators that select parts of a tensor: slices, pieces, and the values at constant or computed positions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import (
    BATCH,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    integer_constant,
)
from netloom.compile.importers.torch_export.operators.table import AtenCall, States, aten

_MAX_INDEX = 2**31


@aten("select")
def _select(op: AtenCall) -> Any:
    states, index = op.args.get("self"), op.integer("index")
    if isinstance(states, States):
        if op.integer("dim", 0) == 0 and -states.count <= index < states.count:
            part, position = states.part(index)
            return op.apply("Gather", part, integer_constant(position), axis=0)
        op = replace(op, args=op.args | {"self": states.whole()})
    tensor, axis = op.tensor(), op.axis("dim", 0)
    length = tensor.length(axis)
    if not -length <= index < length:
        raise UnsupportedOperatorError("its index is out of range")
    return op.apply("Gather", tensor, integer_constant(index % length), axis=axis)


@aten("slice", "narrow")
def _slice(op: AtenCall) -> Any:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    start = op.integer("start", 0)
    end = start + op.integer("length") if op.type == "narrow" else op.integer("end", _MAX_INDEX * 8)
    # A slice of the whole batch, as in x[:N], has no effect.
    if tensor.axes[axis] == (0,) and start == 0 and (end >= _MAX_INDEX - 1 or end == _recorded_batch(op)):
        return [tensor]
    return op.apply("Slice", tensor, starts=[start], ends=[end], axes=[axis], steps=[op.integer("step", 1)])


def _recorded_batch(op: AtenCall) -> int:
    """The length of the batch axis as it is written in the program."""
    return op.batch or BATCH


@aten("split", "split_with_sizes", "chunk", "unsafe_split", "tensor_split", "unsafe_chunk")
def _split(op: AtenCall) -> list[Any]:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    length = tensor.length(axis)
    sizes = op.args.get("split_size", op.args.get("split_sizes", op.args.get("sections")))
    if "chunk" in op.type:
        sizes = math.ceil(length / max(1, op.integer("chunks", 1)))
    if isinstance(sizes, int):
        if op.type == "tensor_split" or sizes < 1:
            raise UnsupportedOperatorError("only splits with constant lengths are supported")
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)] if length < BATCH else [length]
    if not isinstance(sizes, list):
        raise UnsupportedOperatorError("the lengths of its parts are missing")
    return [list(op.apply("Split", tensor, axis=axis, split=sizes, wanted=(True,) * len(sizes)))]


@aten("unbind")
def _unbind(op: AtenCall) -> list[Any]:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    if tensor.length(axis) > 64:
        raise UnsupportedOperatorError("it splits an axis into too many parts")
    return [
        [
            op.apply("Gather", tensor, integer_constant(position), axis=axis)[0]
            for position in range(tensor.length(axis))
        ]
    ]


@aten("index_select")
def _index_select(op: AtenCall) -> Any:
    return op.apply("Gather", op.tensor(), op.value("index"), axis=op.axis("dim", 0))


@aten("gather")
def _gather(op: AtenCall) -> Any:
    data = op.value()
    if isinstance(data, Constant):
        return [_gathered_constant(data, op.tensor("index"))]
    index, axis = op.value("index"), op.axis("dim", 0, data)
    if isinstance(index, Constant):
        return [_gathered_at_constants(op, data, index, axis)]
    return op.apply("GatherElements", data, index, axis=axis)


@aten("take_along_dim")
def _take_along(op: AtenCall) -> Any:
    data, index = op.tensor(), op.value("indices")
    if op.argument("dim") is None:
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    if isinstance(index, Constant):
        return [_gathered_at_constants(op, data, index, op.axis())]
    return op.apply("GatherElements", data, index, axis=op.axis())


@aten("tril", "triu")
def _triangle(op: AtenCall) -> Any:
    shift = Constant(np.asarray(op.integer("diagonal", 0)))
    return op.apply("Trilu", op.tensor(), shift, upper=int(op.type == "triu"))


def _gathered_at_constants(op: AtenCall, data: Tensor, index: Constant, axis: int) -> Tensor:
    """Values at constant indices, such as relative positions, which are the same for each example of the batch."""
    builder, indices = op.builder, index.array
    port_axis = builder.single_axis(data, axis)
    if indices.ndim != data.rank:
        raise UnsupportedOperatorError("its indices have another number of axes than its values")
    # The axes that a constant repeats without copies first, as the length of the batch may be BATCH
    for number in sorted(range(indices.ndim), key=lambda axis_number: index.array.strides[axis_number] != 0):
        if number == axis:
            continue
        length = data.length(number)
        # Without the recorded batch, folding leaves a single example.
        if indices.shape[number] not in (length, length // BATCH * max(1, op.batch)):
            raise UnsupportedOperatorError("its indices have other axes than its values")
        first = indices[(slice(None),) * number + (slice(0, 1),)]
        # Once where the indices are equal, for example in all heads
        indices = first if not indices.strides[number] or (indices == first).all() else indices
    once = builder.add_constant(Constant(np.ascontiguousarray(indices)), data, integer=True)
    # The axes of the port in the order of those of `data`, where None is an axis along which the indices are equal
    parts: list[int | None] = [None] * (len(data.spec.shape) - 1)
    for index_group, group in zip(once.axes, data.axes, strict=True):
        inner = [part for part in index_group if part]
        if inner and (len(inner) > 1 or len(group) > 1):
            raise UnsupportedOperatorError("its indices differ along an axis that combines several axes")
        if inner:
            parts[group[0] - 1] = inner[0]
    aligned = builder.reorder(once, parts)
    for axis_number, part in enumerate(parts, 1):
        if part is None and axis_number != port_axis and data.size(axis_number) > 1:
            aligned = builder.add_layer("Expand", aligned, "expand", axis=axis_number, length=data.size(axis_number))
    inputs = {"in": Tensor(data.ref, data.spec, tuple((part,) for part in range(len(data.spec.shape))))}
    result = builder.add_layer("GatherElements", inputs | {"indices": aligned}, op.name, axis=port_axis)
    return builder.with_axes_of(result, data)


def _gathered_constant(data: Constant, indices: Tensor) -> Constant:
    """Values of a constant at computed indices: one number, if all values are equal, as in a table of zeros."""
    if not data.array.size or not (data.array == data.array.flat[0]).all():
        raise UnsupportedOperatorError("it selects from different constants")
    shape = [1 if size % BATCH == 0 else size for size in indices.shape]
    return Constant(np.broadcast_to(data.array.flat[0], shape))
