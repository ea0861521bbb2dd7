"""Operators along whole axes."""

from __future__ import annotations

from typing import Any

from netloom.compile.importers.onnx.graph_builder import Refusal, Tensor, Value
from netloom.compile.importers.onnx.operators.convolution import pooled
from netloom.compile.importers.onnx.operators.operator import KINDS, Call, elementwise, operator, placed

_REDUCTIONS = {
    "ReduceSum": "Sum", "ReduceMin": "Min", "ReduceProd": "Prod", "ReduceLogSumExp": "LogSumExp", "ReduceL1": "Norm",
    "ReduceL2": "Norm", "ReduceMean": "Mean", "ReduceMax": "Max", "ReduceSumSquare": "Sum",
}  # fmt: skip


@operator(*_REDUCTIONS)
def _reduce(call: Call) -> list[Value]:
    tensor, keep = call.tensor(), bool(call.get("keepdims", 1))
    axes = call.whole(1, "axes")
    if axes is None or not axes:
        if call.get("noop_with_empty_axes", 0):
            return [tensor]
        axes = list(range(tensor.rank))
    asked = sorted({placed(axis, tensor.rank) for axis in axes})
    inner = sorted(part for axis in asked for part in tensor.axes[axis])
    if 0 in inner:
        raise Refusal("it would mix the examples of a batch")
    kind = _REDUCTIONS[call.type]
    rest = [axis for axis in range(tensor.rank) if axis not in asked]
    straight = tensor.axes == tuple((axis,) for axis in range(tensor.rank))
    if kind in ("Mean", "Max") and straight and asked == list(range(2, tensor.rank)) and tensor.rank in KINDS:
        return [pooled(call, "Avg" if kind == "Mean" else "Max", keep)]
    left = [axis for axis in range(len(tensor.spec.shape)) if axis not in inner]
    if call.type == "ReduceSumSquare":
        tensor = elementwise(call.draw, "Function", tensor, "", function="square")
    made = tensor
    if inner and kind in ("Mean", "Max"):
        if len(tensor.spec.shape) == 2:
            made = call.draw.draw("Unsqueeze", made, "unsqueeze", axis=1)
            made = call.draw.draw(kind, made, call.name, axis=2)
            made = call.draw.draw("Squeeze", made, "squeeze", axis=1)
        else:
            for number, axis in enumerate(sorted(inner, reverse=True)):
                if len(made.spec.shape) == 2:
                    made = call.draw.draw("Unsqueeze", made, "unsqueeze", axis=1)
                    made = call.draw.draw(kind, made, call.name, axis=2)
                    made = call.draw.draw("Squeeze", made, "squeeze", axis=1)
                else:
                    made = call.draw.draw(kind, made, call.name if not number else "", axis=axis)
    elif inner:
        params: dict[str, Any] = {"axes": inner}
        if kind == "Norm":
            params["order"] = "L1" if call.type == "ReduceL1" else "L2"
        made = call.draw.draw(kind, made, call.name, **params)
    new = {old: place for place, old in enumerate(left)}
    groups = [
        () if axis in asked else tuple(new[part] for part in tensor.axes[axis])
        for axis in range(tensor.rank)
        if axis in rest or keep
    ]
    return [Tensor(made.ref, made.spec, tuple(groups))]


@operator("ArgMax", "ArgMin")
def _choice(call: Call) -> list[Value]:
    tensor = call.tensor()
    axis = call.axis(0)
    inner = call.draw.single(tensor, axis)
    made = call.draw.draw(call.type, tensor, call.name, axis=inner)
    groups = [tuple(part - (part > inner) for part in group) for group in tensor.axes]
    groups[axis : axis + 1] = [()] if call.get("keepdims", 1) else []
    return [Tensor(made.ref, made.spec, tuple(groups))]


@operator("CumSum")
def _running(call: Call) -> list[Value]:
    if call.get("exclusive", 0) or call.get("reverse", 0):
        raise Refusal("only a plain cumulative sum is supported")
    tensor = call.tensor()
    inner = call.draw.single(tensor, placed(int(call.needed(1).reshape(-1)[0]), tensor.rank))
    return [elementwise(call.draw, "CumSum", tensor, call.name, axis=inner)]
