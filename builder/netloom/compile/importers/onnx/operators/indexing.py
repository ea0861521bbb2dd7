"""Operators that take some of the numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.reshaping import reshape
from netloom.compile.importers.layer_graph.values import Constant, Refusal, Tensor, Value
from netloom.compile.importers.onnx.operators.operator import FAR, Call, operator, placed


@operator("Split")
def _split(call: Call) -> list[Value]:
    tensor = call.tensor()
    axis = call.axis(0)
    length, parts = tensor.length(axis), len(call.wanted)
    sizes = call.whole(1, "split")
    if sizes is None:
        chunk_size = math.ceil(length / parts)
        sizes = [min(chunk_size, length - chunk_size * place) for place in range(parts)]
    if sum(sizes) != length or min(sizes) < 1 or len(sizes) != parts:
        raise Refusal("its sizes do not sum to the length of the axis")
    if parts == 1:
        return [tensor]
    port_axis = call.draw.single(tensor, axis)
    if parts > 16:
        starts = np.cumsum([0, *sizes])
        return [_slice(call, tensor, axis, int(a), int(b), 1) for a, b in pairwise(starts)]
    if len(set(sizes)) == 1:
        key = call.draw.node("Chunk", tensor, call.name, axis=port_axis, count=parts)
    else:
        key = call.draw.node("Split", tensor, call.name, axis=port_axis, sizes=tuple(sizes))
    return [call.draw.like(call.draw.output(key, letter), tensor) for letter in "abcdefghijklmnop"[:parts]]


def _slice(call: Call, tensor: Tensor, axis: int, start: int, end: int, step: int) -> Value:
    length = tensor.length(axis)
    selected = range(length)[slice(start if abs(start) < FAR * 4 else (length if start > 0 else 0), end, step)]
    if selected == range(length):
        return tensor
    if not selected:
        return Constant(np.empty([*tensor.shape[:axis], 0, *tensor.shape[axis + 1 :]], np.float32))
    port_axis = call.draw.single(tensor, axis)
    if step < 0:
        result = call.draw.draw("IndexSelect", tensor, call.name, axis=port_axis, indices=tuple(selected))
    else:
        params: dict[str, Any] = {} if selected[-1] + step >= length else {"end": selected[-1] + 1}
        params |= {"start": selected[0]} if selected[0] else {}
        params |= {"step": step} if step > 1 else {}
        result = call.draw.draw("Slice", tensor, call.name, axis=port_axis, **params)
    return call.draw.like(result, tensor, tensor.boolean)


@operator("Slice")
def _slices(call: Call) -> list[Value]:
    tensor = call.tensor()
    starts, ends = call.whole(1, "starts") or [], call.whole(2, "ends") or []
    axes = call.whole(3, "axes") or list(range(len(starts)))
    steps = call.whole(4, "steps") or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        part = _slice(call, tensor, placed(axis, tensor.rank), start, end, step)
        if not isinstance(part, Tensor):
            return [part]  # nothing is left, whatever else is cut
        tensor = part
    return [tensor]


@operator("Gather")
def _gather(call: Call) -> list[Value]:
    data, indices = call.inputs[0], call.inputs[1]
    if isinstance(data, Constant) and isinstance(indices, Tensor):
        return [_embedding(call, data, indices)]
    tensor, positions = call.tensor(), call.needed(1)
    axis = call.axis(0)
    if not tensor.axes[axis]:  # an axis of length 1 that stands nowhere yet
        if positions.ndim == 0:
            return [replace(tensor, axes=(*tensor.axes[:axis], *tensor.axes[axis + 1 :]))]
        raise Refusal("it repeats an axis of length 1")
    port_axis, length = call.draw.single(tensor, axis), tensor.length(axis)
    if positions.size == 0 or positions.min() < -length or positions.max() >= length:
        raise Refusal("it uses indices that are out of range")
    if positions.ndim == 0:
        if len(tensor.spec.shape) == 2:
            result = call.draw.draw("Select", tensor, call.name, axis=port_axis, index=int(positions))
        else:
            result = call.draw.draw("Select", tensor, call.name, axis=port_axis, index=int(positions))
        groups = [tuple(part - (part > port_axis) for part in group) for group in tensor.axes]
        del groups[axis]
        return [Tensor(result.ref, result.spec, tuple(groups))]
    result = call.draw.draw(
        "IndexSelect", tensor, call.name, axis=port_axis, indices=tuple(int(x) for x in positions.reshape(-1))
    )
    gathered = call.draw.like(result, tensor)
    shape = gathered.shape
    return [reshape(call.draw, gathered, [*shape[:axis], *positions.shape, *shape[axis + 1 :]], False)]


def _embedding(call: Call, data: Constant, indices: Tensor) -> Tensor:
    if data.array.ndim != 2 or call.get("axis", 0) != 0 or data.array.dtype != np.float32:
        raise Refusal("only lookups of rows are supported")
    if indices.spec.dtype != "int":
        raise Refusal("its indices are not integers")
    flat_indices = indices
    rank = len(indices.spec.shape)
    if rank != 2:
        flat_indices = call.draw.reshaped(indices, [math.prod(indices.size(axis) for axis in range(1, rank))])
    result = call.draw.draw(
        *("Embedding", flat_indices, call.base(0)),
        vocabulary=data.array.shape[0],
        dim=data.array.shape[1],
        weights={"weight": data.array},
        weight=data.weight,
    )
    if rank != 2:
        result = call.draw.reshaped(result, [*(indices.size(axis) for axis in range(1, rank)), data.array.shape[1]])
    return Tensor(result.ref, result.spec, (*indices.axes, (rank,)))


@operator("GatherElements")
def _elements(call: Call) -> list[Value]:
    tensor, indices = call.tensor(), call.tensor(1)
    tensor, indices = call.draw.straight(tensor), call.draw.straight(indices)
    inputs = {"in": tensor, "indices": indices}
    return [call.draw.draw("GatherElements", inputs, call.name, axis=call.axis(0))]


@operator("TopK")
def _greatest(call: Call) -> list[Value]:
    tensor = call.tensor()
    counts = call.whole(1, "k")
    axis = call.axis(-1)
    if counts is None or len(counts) != 1:
        raise Refusal("its number k is missing")
    params: dict[str, Any] = {"k": counts[0], "axis": call.draw.single(tensor, axis)}
    params |= {} if call.get("largest", 1) else {"largest": False}
    key = call.draw.node("TopK", tensor, call.name, **params)
    return [call.draw.like(call.draw.output(key, port), tensor) for port in call.draw.ports(key)]


@operator("ScatterElements")
def _scattered(call: Call) -> list[Value]:
    base, indices, values = call.inputs[0], call.tensor(1), call.tensor(2)
    axis = call.axis(0, indices.rank)
    if call.get("reduction", "none") != "none" or not isinstance(base, Constant) or base.filled:
        raise Refusal("only scattering into zeros is supported")
    if indices.axes != values.axes:
        indices, values = (call.draw.straight(one) for one in (indices, values))
    inputs = {"in": values, "indices": indices}
    port_axis = call.draw.single(values, axis)
    result = call.draw.draw("Scatter", inputs, call.name, axis=port_axis, length=base.shape[axis])
    return [call.draw.like(result, values)]
