"""Indexing by constant positions and masks, as in x[:, mask], and assignments to what they select."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.reshaping import broadcast_to
from netloom.compile.importers.layer_graph.values import (
    BATCH,
    Array,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    normalize_axis,
)
from netloom.compile.importers.torch_export.operators.shape import reshaped
from netloom.compile.importers.torch_export.operators.table import AtenCall, aten


def _positions(op: AtenCall) -> tuple[int, list[Array]]:
    """The first indexed axis, and the constant positions along it and the axes that follow it.

    A mask over several axes selects positions along each of them.

    Raises:
        UnsupportedOperatorError: The indices are computed, or other axes are between the indexed ones.
    """
    positions: dict[int, Array] = {}
    axis = 0
    for value in op.argument("indices", []):
        if value is None:
            axis += 1
            continue
        if not isinstance(value, Constant):
            raise UnsupportedOperatorError(
                "only constant indices and masks are supported; use torch.gather or torch.where instead"
            )
        index_arrays = value.array.nonzero() if value.array.dtype == bool else (value.array,)
        positions |= {axis + offset: part for offset, part in enumerate(index_arrays)}
        axis += len(index_arrays)
    axes = sorted(positions)
    if not axes or axes != list(range(axes[0], axes[0] + len(axes))):
        raise UnsupportedOperatorError("it selects along axes that are not beside each other")
    return axes[0], [positions[axis] for axis in axes]


@aten("index")
def _index(op: AtenCall) -> Any:
    """x[:, indices] and x[:, mask], and x[:, rows, columns] by positions of both axes as one axis."""
    tensor = op.tensor()
    first, positions = _positions(op)
    sizes = tensor.shape[first : first + len(positions)]
    flat: Array = np.zeros((), np.int64)
    for size, part in zip(sizes, positions, strict=True):
        flat = flat * size + np.where(part < 0, part + size, part)
    if len(positions) > 1:
        merged = [*tensor.shape[:first], math.prod(sizes), *tensor.shape[first + len(sizes) :]]
        tensor = reshaped(op, tensor, merged)[0]  # type: ignore[assignment]
    return op.apply("Gather", tensor, Constant(flat), axis=first)


@aten("index_put")
def _assign(op: AtenCall) -> Any:
    """x[mask] = number, where the mask is constant or computed."""
    tensor, value = op.tensor(), op.value("values")
    if not isinstance(value, Constant) or value.scalar is None or op.flag("accumulate"):
        raise UnsupportedOperatorError("only a constant number can be assigned to the values that a mask selects")
    number = Constant(np.asarray(value.scalar, np.int64 if tensor.spec.dtype == "int" else np.float32))
    indices = op.argument("indices", [])
    if len(indices) == 1 and isinstance(indices[0], Tensor) and indices[0].boolean:
        return op.apply("Where", _with_rank(indices[0], tensor.rank), number, tensor)
    first, positions = _positions(op)
    if first == 0 or tensor.axes[0] != (0,):
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    mask = np.zeros((1, *tensor.shape[1:]), bool)
    mask[(slice(None),) * first + tuple(positions)] = True
    return op.apply("Where", Constant(mask), number, tensor)


def _with_rank(mask: Tensor, rank: int) -> Tensor:
    """A mask of the leading axes, with axes of length 1 behind them."""
    return mask if mask.rank == rank else Tensor(mask.ref, mask.spec, mask.axes + ((),) * (rank - mask.rank), True)


@aten("fill", "zero")
def _fill(op: AtenCall) -> list[Value]:
    """One number in the shape of a tensor, in which the batch has the length 1."""
    tensor = op.tensor()
    number = op.number("value") if op.type == "fill" else 0.0
    shape = [1 if size % BATCH == 0 else size for size in tensor.shape]
    kind = np.int64 if tensor.spec.dtype == "int" else np.float32
    return [Constant(np.broadcast_to(np.asarray(number, kind), shape))]


@aten("copy")
def _copy(op: AtenCall) -> list[Value]:
    """The second tensor in the shape and the data type of the first."""
    target, source = op.value(), op.value("src")
    if isinstance(source, Constant):
        shape = [1 if size % BATCH == 0 else size for size in target.shape]
        (once, _) = op.without_recorded_batch([source, target])
        array = (once if isinstance(once, Constant) else source).array
        return [Constant(np.broadcast_to(array.astype(_DTYPES[_kind(target)]), shape))]
    source = _converted(op, source, _kind(target))
    # A constant target has the length 1 in place of the batch.
    lengths = [*(0,) * (len(target.shape) - source.rank), *source.shape]
    sizes = [max(size, mine) for size, mine in zip(target.shape, lengths, strict=True)]
    return [broadcast_to(op.builder, source, sizes, op.name)]


_DTYPES: dict[str, Any] = {"bool": bool, "int": np.int64, "float": np.float32}
# TensorProto.DataType of ONNX
_CASTS = {"bool": 9, "int": 7, "float": 1}


def _kind(value: Value) -> str:
    """The kind of the numbers of a tensor: "bool", "int" or "float"."""
    if isinstance(value, Tensor):
        return "bool" if value.boolean else value.spec.dtype
    return {"b": "bool", "f": "float"}.get(value.array.dtype.kind, "int")


def _converted(op: AtenCall, tensor: Tensor, kind: str) -> Tensor:
    """A tensor of another kind of numbers: the integer part of floats, and true for numbers other than 0."""
    if _kind(tensor) == kind:
        return tensor
    (converted,) = op.apply("Cast", tensor, to=_CASTS[kind])
    if not isinstance(converted, Tensor):
        raise UnsupportedOperatorError("its values are constant")
    return converted


@aten("slice_scatter", "select_scatter")
def _put_into(op: AtenCall) -> Any:
    """A tensor with a part along one axis replaced: what is before the part, the part, and what is after it.

    Raises:
        UnsupportedOperatorError: The part has a step.
    """
    if op.integer("step", 1) != 1:
        raise UnsupportedOperatorError("only parts of consecutive places are supported")
    whole, part = op.value(), op.value("src")
    axis = normalize_axis(op.integer("dim"), len(whole.shape))
    length = whole.shape[axis]
    if op.type == "select_scatter":
        start = op.integer("index") % length
        end, part = start + 1, _raised(op, part, axis)
    else:
        start, end, _ = slice(op.argument("start"), op.argument("end")).indices(length)
    pieces = [_piece(op, whole, axis, 0, start), part, _piece(op, whole, axis, end, length)]
    (result,) = op.apply("Concat", *(piece for piece in pieces if piece is not None), axis=axis)
    return [replace(result, boolean=_kind(whole) == "bool") if isinstance(result, Tensor) else result]


def _raised(op: AtenCall, value: Value, axis: int) -> Value:
    if isinstance(value, Constant):
        return Constant(np.expand_dims(value.array, axis))
    raised: Value = op.apply("Unsqueeze", value, axes=[axis])[0]  # type: ignore[assignment]
    return raised


def _piece(op: AtenCall, whole: Value, axis: int, start: int, end: int) -> Value | None:
    """The places from start to end along an axis; None if there are none."""
    if start >= end:
        return None
    if isinstance(whole, Constant):
        return Constant(whole.array[(slice(None),) * axis + (slice(start, end),)])
    return op.apply("Slice", whole, starts=[start], ends=[end], axes=[axis], steps=[1])[0]
