"""Operators that change shapes, reorder axes, and repeat and concatenate tensors."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.reshaping import broadcast_to, repeat, reshape
from netloom.compile.importers.layer_graph.values import (
    BATCH,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    normalize_axis,
)
from netloom.compile.importers.onnx.operators.reduction import one_hot
from netloom.compile.importers.torch_export.operators.table import AtenCall, aten


def reshaped(op: AtenCall, tensor: Tensor, target: list[int]) -> list[Value]:
    """The tensor in a shape of the program."""
    # A 0 in a shape is a length of 0 in PyTorch, unlike in ONNX.
    return [reshape(op.builder, tensor, op.with_batch(tensor, target), True)]


@aten("view", "reshape", "_unsafe_view", "_reshape_alias")
def _view(op: AtenCall) -> list[Value]:
    if op.argument("dtype") is not None:
        raise UnsupportedOperatorError("it reinterprets values as another data type")
    return reshaped(op, op.tensor(), op.integers("size" if "size" in op.args else "shape"))


@aten("view_as", "reshape_as")
def _view_as(op: AtenCall) -> list[Value]:
    return reshaped(op, op.tensor(), list(op.value("other").shape))


@aten("flatten")
def _flatten(op: AtenCall) -> list[Value]:
    tensor = op.tensor()
    first, last = op.axis("start_dim", 0), op.axis("end_dim", -1)
    shape = tensor.shape
    return reshaped(op, tensor, [*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]])


@aten("unflatten")
def _unflatten(op: AtenCall) -> list[Value]:
    tensor, axis, sizes = op.tensor(), op.axis(), op.integers("sizes")
    if -1 in sizes:
        known_product = -math.prod(sizes)
        sizes = [tensor.length(axis) // known_product if size == -1 else size for size in sizes]
    return reshaped(op, tensor, [*tensor.shape[:axis], *sizes, *tensor.shape[axis + 1 :]])


@aten("squeeze")
def _squeeze(op: AtenCall) -> Any:
    tensor = op.tensor()
    axes = op.integers("dim", range(tensor.rank))
    axes = [normalize_axis(axis, tensor.rank) for axis in axes]
    removed = [axis for axis in axes if tensor.length(axis) == 1]
    return op.apply("Squeeze", tensor, axes=removed) if removed else [tensor]


@aten("unsqueeze")
def _unsqueeze(op: AtenCall) -> Any:
    return op.apply("Unsqueeze", op.tensor(), axes=[op.axis(more=1)])


@aten("permute")
def _permute(op: AtenCall) -> Any:
    rank = op.tensor().rank
    return op.apply("Transpose", op.tensor(), perm=[normalize_axis(axis, rank) for axis in op.integers("dims")])


@aten("transpose", "t", "numpy_T", "mT", "swapaxes", "adjoint")
def _transpose(op: AtenCall) -> Any:
    rank = op.tensor().rank
    if rank < 2:
        return [op.tensor()]
    last = (rank - 2, rank - 1)
    a, b = (op.axis("dim0"), op.axis("dim1")) if op.type == "transpose" else last
    if op.type == "swapaxes":
        a, b = op.axis("axis0"), op.axis("axis1")
    order = list(range(rank))
    order[a], order[b] = order[b], order[a]
    return op.apply("Transpose", op.tensor(), perm=order)


@aten("movedim")
def _movedim(op: AtenCall) -> Any:
    rank = op.tensor().rank
    source = [normalize_axis(axis, rank) for axis in op.integers("source")]
    target = [normalize_axis(axis, rank) for axis in op.integers("destination")]
    if len(set(source)) != len(source) or sorted(set(target)) != sorted(target) or len(source) != len(target):
        raise UnsupportedOperatorError("it must name each axis once")
    moved = dict(zip(target, source, strict=True))
    other_axes = iter([axis for axis in range(rank) if axis not in source])
    return op.apply(
        "Transpose", op.tensor(), perm=[moved[axis] if axis in moved else next(other_axes) for axis in range(rank)]
    )


def _tensor_list(op: AtenCall) -> list[Value]:
    values = op.argument("tensors", [])
    if not isinstance(values, list) or not any(isinstance(value, Tensor) for value in values):
        raise UnsupportedOperatorError("it has no inputs to concatenate")
    return values


@aten("cat", "concat", "concatenate")
def _cat(op: AtenCall) -> Any:
    # Empty tensors add nothing, and no layer outputs one.
    values = [value for value in _tensor_list(op) if 0 not in value.shape]
    first = next(value for value in values if isinstance(value, Tensor))
    values = [
        replace(value, array=value.array.astype(np.float32)) if isinstance(value, Constant) else value
        for value in values
    ]
    return op.apply("Concat", *values, axis=op.axis("dim" if "dim" in op.args else "axis", 0, first))


@aten("hstack", "vstack", "dstack")
def _joined(op: AtenCall) -> Any:
    """Concatenation along the axis in the name of the operator, of tensors that have this axis."""
    values = _tensor_list(op)
    axis = {"hstack": 1, "vstack": 0, "dstack": 2}[op.type]
    if any(len(value.shape) <= axis for value in values):
        raise UnsupportedOperatorError("its tensors have too few axes; use torch.cat or torch.stack instead")
    return _cat(replace(op, args={"tensors": values, "dim": axis}))


@aten("stack")
def _stack(op: AtenCall) -> Any:
    values = _tensor_list(op)
    first = next(value for value in values if isinstance(value, Tensor))
    axis = op.axis("dim", 0, first, more=1)
    raised: list[Value] = []
    for value in values:
        if isinstance(value, Constant):
            raised.append(Constant(np.expand_dims(value.array, axis)))
        else:
            raised += op.apply("Unsqueeze", value, axes=[axis])  # type: ignore[arg-type]
    return op.apply("Concat", *raised, axis=axis)


@aten("expand", "expand_as")
def _expand(op: AtenCall) -> list[Value]:
    tensor = op.tensor()
    target = list(op.value("other").shape) if op.type == "expand_as" else op.integers("size")
    new_axes = len(target) - tensor.rank
    current = [*(1,) * new_axes, *tensor.shape]
    sizes = [
        mine if size == -1 or (mine == BATCH and size == op.batch) else size
        for size, mine in zip(target, current, strict=True)
    ]
    return [broadcast_to(op.builder, tensor, sizes, op.name)]


@aten("repeat")
def _repeat(op: AtenCall) -> list[Value]:
    return [repeat(op.builder, op.tensor(), op.integers("repeats"), op.name)]


@aten("repeat_interleave")
def _interleave(op: AtenCall) -> list[Value]:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    times = op.integer("repeats", 1)
    repeated = op.builder.add_layer(
        "Repeat", tensor, op.name, axis=op.builder.single_axis(tensor, axis), times=times, each=True
    )
    return [op.builder.with_axes_of(repeated, tensor)]


@aten("one_hot")
def _one_hot(op: AtenCall) -> Any:
    classes = op.integer("num_classes", -1)
    if classes < 0:
        raise UnsupportedOperatorError("its number of classes depends on the values; give it as num_classes")
    return [one_hot(op.as_onnx("OneHot"), op.tensor(), classes)]


@aten("roll", "flip")
def _roll(op: AtenCall) -> list[Value]:
    tensor = op.tensor()
    port_axes = [op.builder.single_axis(tensor, normalize_axis(axis, tensor.rank)) for axis in op.integers("dims")]
    if op.type == "flip":
        return op.elementwise("Flip", tensor, axes=port_axes)
    for axis, shift in zip(port_axes, op.integers("shifts"), strict=True):
        tensor = op.builder.with_axes_of(op.builder.add_layer("Roll", tensor, op.name, axis=axis, shift=shift), tensor)
    return [tensor]


@aten("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
def _filled(op: AtenCall) -> list[Value]:
    """A constant in the shape of a tensor, in which the batch has the length 1."""
    shape = op.integers("size") if op.type.startswith("new") else list(op.tensor().shape)
    shape = [1 if size % BATCH == 0 else size for size in shape]
    if math.prod(shape) > 2**24:
        raise UnsupportedOperatorError("its result is too large")
    number = op.number("fill_value") if "full" in op.type else float("ones" in op.type)
    # ScalarType: 5 is int64; 6, 7, 8 and 13 are the float types. Without dtype, that of the tensor applies.
    is_integer = op.argument("dtype", 7 if op.tensor().spec.dtype == "float" else 5) not in (6, 7, 8, 13)
    return [Constant(np.full(shape, number, np.int64 if is_integer else np.float32))]
