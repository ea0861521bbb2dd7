"""Reductions, arg max and cumulative sums along axes."""

from __future__ import annotations

from typing import Any

from netloom.compile.importers.layer_graph.values import Tensor, UnsupportedOperatorError, Value, normalize_axis
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
    new_positions = {old: place for place, old in enumerate(port_axes_left)}
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


@operator("CumSum")
def _cumulative_sum(call: Call) -> list[Value]:
    if call.attribute("exclusive", 0) or call.attribute("reverse", 0):
        raise UnsupportedOperatorError("only a plain cumulative sum is supported")
    tensor = call.tensor()
    port_axis = call.builder.single_axis(
        tensor, normalize_axis(int(call.required_array(1).reshape(-1)[0]), tensor.rank)
    )
    return [elementwise(call.builder, "CumSum", tensor, call.name, axis=port_axis)]
