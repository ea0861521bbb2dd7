"""Operators that select values: split, slice, gather, top-k and scatter."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.reshaping import reshape
from netloom.compile.importers.layer_graph.values import (
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    normalize_axis,
)
from netloom.compile.importers.onnx.operators.operator import FAR, Call, operator


@operator("Split")
def _split(call: Call) -> list[Value]:
    tensor = call.tensor()
    axis = call.axis(0)
    length, parts = tensor.length(axis), len(call.used_outputs)
    sizes = call.integers(1, "split")
    if sizes is None:
        # Since opset 18, the last part can be smaller than the others.
        chunk_size = math.ceil(length / parts)
        sizes = [min(chunk_size, length - chunk_size * number) for number in range(parts)]
    if sum(sizes) != length or min(sizes) < 1 or len(sizes) != parts:
        raise UnsupportedOperatorError("its sizes do not sum to the length of the axis")
    if parts == 1:
        return [tensor]
    port_axis = call.builder.single_axis(tensor, axis)
    # Split has at most 16 outputs.
    if parts > 16:
        starts = np.cumsum([0, *sizes])
        return [_slice(call, tensor, axis, int(a), int(b), 1) for a, b in pairwise(starts)]
    if len(set(sizes)) == 1:
        key = call.builder.add_node("Chunk", tensor, call.name, axis=port_axis, count=parts)
    else:
        key = call.builder.add_node("Split", tensor, call.name, axis=port_axis, sizes=tuple(sizes))
    return [
        call.builder.with_axes_of(call.builder.output(key, letter), tensor) for letter in "abcdefghijklmnop"[:parts]
    ]


def _slice(call: Call, tensor: Tensor, axis: int, start: int, end: int, step: int) -> Value:
    length = tensor.length(axis)
    # Exporters write bounds such as 2**63 − 1 for an open start or end.
    selected = range(length)[slice(start if abs(start) < FAR * 4 else (length if start > 0 else 0), end, step)]
    if selected == range(length):
        return tensor
    if not selected:
        return Constant(np.empty([*tensor.shape[:axis], 0, *tensor.shape[axis + 1 :]], np.float32))
    port_axis = call.builder.single_axis(tensor, axis)
    if step < 0:
        result = call.builder.add_layer("IndexSelect", tensor, call.name, axis=port_axis, indices=tuple(selected))
    else:
        params: dict[str, Any] = {} if selected[-1] + step >= length else {"end": selected[-1] + 1}
        params |= {"start": selected[0]} if selected[0] else {}
        params |= {"step": step} if step > 1 else {}
        result = call.builder.add_layer("Slice", tensor, call.name, axis=port_axis, **params)
    return call.builder.with_axes_of(result, tensor, tensor.boolean)


@operator("Slice")
def _slices(call: Call) -> list[Value]:
    tensor = call.tensor()
    starts, ends = call.integers(1, "starts") or [], call.integers(2, "ends") or []
    axes = call.integers(3, "axes") or list(range(len(starts)))
    steps = call.integers(4, "steps") or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        part = _slice(call, tensor, normalize_axis(axis, tensor.rank), start, end, step)
        if not isinstance(part, Tensor):
            return [part]  # the slice is empty
        tensor = part
    return [tensor]


@operator("Gather")
def _gather(call: Call) -> list[Value]:
    data, indices = call.inputs[0], call.inputs[1]
    if isinstance(data, Constant) and isinstance(indices, Tensor):
        return [_embedding(call, data, indices)]
    tensor, positions = call.tensor(), call.required_array(1)
    axis = call.axis(0)
    if not tensor.axes[axis]:  # an axis of length 1 that no axis of the port represents
        if positions.ndim == 0:
            return [replace(tensor, axes=(*tensor.axes[:axis], *tensor.axes[axis + 1 :]))]
        raise UnsupportedOperatorError("it repeats an axis of length 1")
    port_axis, length = call.builder.single_axis(tensor, axis), tensor.length(axis)
    if positions.size == 0 or positions.min() < -length or positions.max() >= length:
        raise UnsupportedOperatorError("it uses indices that are out of range")
    if positions.ndim == 0:
        result = call.builder.add_layer("Select", tensor, call.name, axis=port_axis, index=int(positions))
        # Axes after the removed one move up.
        groups = [tuple(part - (part > port_axis) for part in group) for group in tensor.axes]
        del groups[axis]
        return [Tensor(result.ref, result.spec, tuple(groups))]
    result = call.builder.add_layer(
        "IndexSelect", tensor, call.name, axis=port_axis, indices=tuple(int(x) for x in positions.reshape(-1))
    )
    gathered = call.builder.with_axes_of(result, tensor)
    shape = gathered.shape
    return [reshape(call.builder, gathered, [*shape[:axis], *positions.shape, *shape[axis + 1 :]], False)]


def _embedding(call: Call, data: Constant, indices: Tensor) -> Tensor:
    if data.array.ndim != 2 or call.attribute("axis", 0) != 0 or data.array.dtype != np.float32:
        raise UnsupportedOperatorError("only lookups of rows are supported")
    if indices.spec.dtype != "int":
        raise UnsupportedOperatorError("its indices are not integers")
    # An embedding reads tokens (N, T); indices of other shapes are flattened before and restored after it.
    flat_indices = indices
    rank = len(indices.spec.shape)
    if rank != 2:
        flat_indices = call.builder.reshape(indices, [math.prod(indices.size(axis) for axis in range(1, rank))])
    result = call.builder.add_layer(
        *("Embedding", flat_indices, call.module_name(0)),
        vocabulary=data.array.shape[0],
        dim=data.array.shape[1],
        weights={"weight": data.array},
        weight=data.weight,
    )
    if rank != 2:
        result = call.builder.reshape(result, [*(indices.size(axis) for axis in range(1, rank)), data.array.shape[1]])
    return Tensor(result.ref, result.spec, (*indices.axes, (rank,)))


@operator("GatherElements")
def _gather_elements(call: Call) -> list[Value]:
    tensor, indices = call.tensor(), call.tensor(1)
    tensor, indices = call.builder.to_batch_first(tensor), call.builder.to_batch_first(indices)
    inputs = {"in": tensor, "indices": indices}
    return [call.builder.add_layer("GatherElements", inputs, call.name, axis=call.axis(0))]


@operator("TopK")
def _topk(call: Call) -> list[Value]:
    tensor = call.tensor()
    counts = call.integers(1, "k")
    axis = call.axis(-1)
    if counts is None or len(counts) != 1:
        raise UnsupportedOperatorError("its number k is missing")
    params: dict[str, Any] = {"k": counts[0], "axis": call.builder.single_axis(tensor, axis)}
    params |= {} if call.attribute("largest", 1) else {"largest": False}
    key = call.builder.add_node("TopK", tensor, call.name, **params)
    return [call.builder.with_axes_of(call.builder.output(key, port), tensor) for port in call.builder.ports(key)]


@operator("ScatterElements")
def _scatter(call: Call) -> list[Value]:
    base, indices, values = call.inputs[0], call.tensor(1), call.tensor(2)
    axis = call.axis(0, indices.rank)
    if call.attribute("reduction", "none") != "none" or not isinstance(base, Constant) or base.has_nonzero:
        raise UnsupportedOperatorError("only scattering into zeros is supported")
    if indices.axes != values.axes:
        indices, values = (call.builder.to_batch_first(operand) for operand in (indices, values))
    inputs = {"in": values, "indices": indices}
    port_axis = call.builder.single_axis(values, axis)
    result = call.builder.add_layer("Scatter", inputs, call.name, axis=port_axis, length=base.shape[axis])
    return [call.builder.with_axes_of(result, values)]
