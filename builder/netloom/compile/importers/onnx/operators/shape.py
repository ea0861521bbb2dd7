"""Operators that change the shape of a tensor or concatenate tensors."""

from __future__ import annotations

import math
from dataclasses import replace

from netloom.compile.importers.layer_graph.reshaping import broadcast_to, repeat, reshape
from netloom.compile.importers.layer_graph.values import Tensor, UnsupportedOperatorError, Value, normalize_axis
from netloom.compile.importers.onnx.operators.operator import Call, operator


@operator("Reshape")
def _reshape(call: Call) -> list[Value]:
    target = call.integers(1, "shape")
    return [reshape(call.builder, call.tensor(), target or [], bool(call.attribute("allowzero", 0)))]


@operator("Flatten")
def _flatten(call: Call) -> list[Value]:
    tensor, axis = call.tensor(), int(call.attribute("axis", 1))
    axis = axis + call.tensor().rank if axis < 0 else axis
    shape = tensor.shape
    return [reshape(call.builder, tensor, [math.prod(shape[:axis]), math.prod(shape[axis:])], False)]


@operator("Transpose")
def _transpose(call: Call) -> list[Value]:
    tensor = call.tensor()
    order = call.attribute("perm", list(range(tensor.rank))[::-1])
    if sorted(order) != list(range(tensor.rank)):
        raise UnsupportedOperatorError("its order must name each axis once")
    return [replace(tensor, axes=tuple(tensor.axes[axis] for axis in order))]


@operator("Squeeze")
def _squeeze(call: Call) -> list[Value]:
    tensor = call.tensor()
    axes = call.integers(1, "axes")
    if axes is None:
        axes = [axis for axis in range(tensor.rank) if tensor.length(axis) == 1]
    removed = {normalize_axis(axis, tensor.rank) for axis in axes}
    if any(tensor.length(axis) != 1 for axis in removed):
        raise UnsupportedOperatorError("a removed axis must have the length 1, and the batch axis cannot be removed")
    return [
        reshape(call.builder, tensor, [size for axis, size in enumerate(tensor.shape) if axis not in removed], False)
    ]


@operator("Unsqueeze")
def _unsqueeze(call: Call) -> list[Value]:
    tensor = call.tensor()
    axes = call.integers(1, "axes") or []
    rank = tensor.rank + len(axes)
    groups = list(tensor.axes)
    # Axes are positions in the result, so that they are inserted in ascending order.
    for axis in sorted(normalize_axis(axis, rank) for axis in axes):
        groups.insert(axis, ())
    return [replace(tensor, axes=tuple(groups))]


@operator("Expand")
def _expand(call: Call) -> list[Value]:
    target = [int(size) for size in call.required_array(1).reshape(-1)]
    return [broadcast_to(call.builder, call.tensor(), target, call.name)]


@operator("Tile")
def _tile(call: Call) -> list[Value]:
    times = [int(number) for number in call.required_array(1).reshape(-1)]
    return [repeat(call.builder, call.tensor(), times, call.name)]


@operator("Concat")
def _concat(call: Call) -> list[Value]:
    values = [value for value in call.inputs if value is not None]
    tensors = [value for value in values if isinstance(value, Tensor)]
    if tensors and all(tensor.spec.dtype == "int" and not tensor.boolean for tensor in tensors):
        # The layer does not accept integers, which are converted to floats and back.
        floats = [call.apply("Cast", value, to=1)[0] if isinstance(value, Tensor) else value for value in values]
        return list(call.apply("Cast", *call.apply("Concat", *floats, **call.attributes), to=7))  # type: ignore[arg-type]
    first = next(value for value in values if isinstance(value, Tensor))
    axis = call.axis(0, first.rank)
    tensors = [
        value if isinstance(value, Tensor) else call.builder.add_constant(value, first, value.weight)
        for value in values
    ]
    if axis in (first.batch,):
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    inputs = []
    for tensor in tensors:
        if tensor.rank != first.rank or tensor.batch != first.batch:
            raise UnsupportedOperatorError("the batch axis differs between its inputs")
        if any(
            len(group) != 1
            for position, group in enumerate(tensor.axes)
            if position != axis and group and 0 not in group
        ):
            raise UnsupportedOperatorError("its axes combine several axes")
        inputs.append(tensor)
    other_axes = [position for position in range(first.rank) if position not in (axis, first.batch)]
    # Inputs with equal axes are concatenated as they are; otherwise, all get the order of the file.
    if len({tensor.axes for tensor in inputs}) == 1 and len(first.axes[axis]) == 1:
        port_axis, axes = first.axes[axis][0], first.axes
    else:
        if any(len(tensor.axes[tensor.batch]) != 1 for tensor in inputs):
            raise UnsupportedOperatorError("the batch axis is merged with another axis")
        inputs = [
            call.builder.reorder(
                tensor,
                [
                    tensor.axes[position][0] if tensor.axes[position] else None
                    for position in range(first.rank)
                    if position != first.batch
                ],
            )
            for tensor in inputs
        ]
        order = [first.batch, *sorted([*other_axes, axis])]
        numbers = {position: number for number, position in enumerate(order)}
        axes = tuple((numbers[position],) for position in range(first.rank))
        port_axis = numbers[axis]
    if len(inputs) == 1:
        return [Tensor(inputs[0].ref, inputs[0].spec, axes)]
    result = inputs[0]
    # A Concat has at most 16 inputs.
    for start in range(1, len(inputs), 15):
        group = [result, *inputs[start : start + 15]]
        params = {"count": len(group)} if len(group) > 2 else {}
        result = call.builder.add_layer(
            *("Concat", dict(zip("abcdefghijklmnop", group, strict=False)), call.name), axis=port_axis, **params
        )
    return [Tensor(result.ref, result.spec, axes)]
