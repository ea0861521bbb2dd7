"""Reductions, arg max and cumulative sums along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import (
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    normalize_axis,
)
from netloom.compile.importers.onnx.operators.convolution import pooled
from netloom.compile.importers.onnx.operators.operator import KINDS, Call, elementwise, operator

_REDUCTIONS = {
    "ReduceSum": "Sum", "ReduceMin": "Min", "ReduceProd": "Prod", "ReduceLogSumExp": "LogSumExp", "ReduceL1": "Norm",
    "ReduceL2": "Norm", "ReduceMean": "Mean", "ReduceMax": "Max", "ReduceSumSquare": "Sum",
}  # fmt: skip


@operator(*_REDUCTIONS)
def _reduce(call: Call) -> list[Value]:
    tensor, keep = call.tensor(), bool(call.attribute("keepdims", 1))
    axes = call.integers(1, "axes")
    if axes is None or not axes:
        if call.attribute("noop_with_empty_axes", 0):
            return [tensor]
        axes = list(range(tensor.rank))
    reduced = sorted({normalize_axis(axis, tensor.rank) for axis in axes})
    port_axes = sorted(part for axis in reduced for part in tensor.axes[axis])
    if 0 in port_axes:
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    kind = _REDUCTIONS[call.type]
    remaining = [axis for axis in range(tensor.rank) if axis not in reduced]
    in_order = tensor.axes == tuple((axis,) for axis in range(tensor.rank))
    if kind in ("Mean", "Max") and in_order and reduced == list(range(2, tensor.rank)) and tensor.rank in KINDS:
        return [pooled(call, "Avg" if kind == "Mean" else "Max", keep)]
    port_axes_left = [axis for axis in range(len(tensor.spec.shape)) if axis not in port_axes]
    if call.type == "ReduceSumSquare":
        tensor = elementwise(call.builder, "Function", tensor, "", function="square")
    result = tensor
    if port_axes and kind in ("Mean", "Max"):
        # Mean and Max need at least a sequence: (N, D) -> (N, 1, D) -> (N, 1) -> (N).
        if len(tensor.spec.shape) == 2:
            result = call.builder.add_layer("Unsqueeze", result, "unsqueeze", axis=1)
            result = call.builder.add_layer(kind, result, call.name, axis=2)
            result = call.builder.add_layer("Squeeze", result, "squeeze", axis=1)
        else:
            # From the last axis on, because each reduction moves the axes after it.
            for number, axis in enumerate(sorted(port_axes, reverse=True)):
                if len(result.spec.shape) == 2:
                    result = call.builder.add_layer("Unsqueeze", result, "unsqueeze", axis=1)
                    result = call.builder.add_layer(kind, result, call.name, axis=2)
                    result = call.builder.add_layer("Squeeze", result, "squeeze", axis=1)
                else:
                    result = call.builder.add_layer(kind, result, call.name if not number else "", axis=axis)
    elif port_axes:
        params: dict[str, Any] = {"axes": port_axes}
        if kind == "Norm":
            params["order"] = "L1" if call.type == "ReduceL1" else "L2"
        result = call.builder.add_layer(kind, result, call.name, **params)
    new_positions = {old: position for position, old in enumerate(port_axes_left)}
    groups = [
        () if axis in reduced else tuple(new_positions[part] for part in tensor.axes[axis])
        for axis in range(tensor.rank)
        if axis in remaining or keep
    ]
    return [Tensor(result.ref, result.spec, tuple(groups))]


@operator("ArgMax", "ArgMin")
def _arg_max(call: Call) -> list[Value]:
    tensor = call.tensor()
    axis = call.axis(0)
    port_axis = call.builder.single_axis(tensor, axis)
    result = call.builder.add_layer(call.type, tensor, call.name, axis=port_axis)
    groups = [tuple(part - (part > port_axis) for part in group) for group in tensor.axes]
    groups[axis : axis + 1] = [()] if call.attribute("keepdims", 1) else []
    return [Tensor(result.ref, result.spec, tuple(groups))]


@operator("ReduceLogSum")
def _log_of_sum(call: Call) -> list[Value | None]:
    return list(call.apply("Log", *call.apply("ReduceSum", *call.inputs, **call.attributes)))


@operator("GlobalLpPool")
def _norm_of_positions(call: Call) -> list[Value | None]:
    order = call.attribute("p", 2)
    if order not in (1, 2):
        raise UnsupportedOperatorError(f"its norm has the order {order}; only 1 and 2 are supported")
    return list(call.apply(f"ReduceL{order}", call.tensor(), axes=list(range(2, call.tensor().rank)), keepdims=1))


@operator("CumSum")
def _cumulative_sum(call: Call) -> list[Value | None]:
    tensor = call.tensor()
    port_axis = call.builder.single_axis(
        tensor, normalize_axis(int(call.required_array(1).reshape(-1)[0]), tensor.rank)
    )
    is_reverse = bool(call.attribute("reverse", 0))
    ordered = elementwise(call.builder, "Flip", tensor, "", axes=[port_axis]) if is_reverse else tensor
    result = elementwise(call.builder, "CumSum", ordered, call.name, axis=port_axis)
    result = elementwise(call.builder, "Flip", result, "", axes=[port_axis]) if is_reverse else result
    # An exclusive sum leaves out the element itself.
    return list(call.apply("Sub", result, tensor)) if call.attribute("exclusive", 0) else [result]


@operator("Hardmax")
def _hardmax(call: Call) -> list[Value | None]:
    """1 at the largest value of an axis, 0 elsewhere."""
    tensor, axis = call.tensor(), call.axis(-1 if call.opset >= 13 else 1)
    if axis != tensor.rank - 1:
        raise UnsupportedOperatorError("only the last axis is supported")
    positions = call.apply("ArgMax", tensor, axis=axis, keepdims=0)[0]
    return [one_hot(call, positions, tensor.length(axis))]


@operator("OneHot")
def _one_hot(call: Call) -> list[Value | None]:
    indices, depth, values = call.tensor(), call.required_array(1), call.required_array(2)
    if call.axis(-1, indices.rank + 1) != indices.rank or values.reshape(-1).tolist() != [0, 1]:
        raise UnsupportedOperatorError("only zeros and ones along a new last axis are supported")
    classes = int(depth.reshape(-1)[0])
    indices = _integers(call, indices)
    result = one_hot(call, indices, classes)
    # A negative index counts from the end; other numbers outside of the classes give zeros here and there.
    from_end = one_hot(call, call.apply("Add", indices, Constant(np.asarray(classes)))[0], classes)
    return list(call.apply("Add", result, from_end))


def one_hot(call: Call, indices: Value | None, classes: int) -> Tensor:
    """Integers (…) as vectors (…, classes)."""
    if not isinstance(indices, Tensor):
        raise UnsupportedOperatorError("its indices are constant")
    indices = _integers(call, indices)
    result = call.builder.add_layer("OneHot", indices, call.name, classes=classes)
    return Tensor(result.ref, result.spec, (*indices.axes, (len(indices.spec.shape),)))


def _integers(call: Call, tensor: Tensor) -> Tensor:
    return tensor if tensor.spec.dtype == "int" else elementwise(call.builder, "Cast", tensor, "", to="int")


@operator("Trilu")
def _triangle(call: Call) -> list[Value | None]:
    """The upper or lower triangle of matrices; other values become 0, also infinite ones."""
    tensor, shift = call.tensor(), int(call.scalar(1) or 0)
    rows, columns = tensor.length(-2), tensor.length(-1)
    triangle = np.tri(rows, columns, shift - 1 if call.attribute("upper", 1) else shift, dtype=bool)
    mask = ~triangle if call.attribute("upper", 1) else triangle
    return list(call.apply("Where", Constant(mask), tensor, Constant(np.zeros((1, 1), np.float32))))
