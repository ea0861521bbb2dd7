"""Operators that work number by number, and such as bring several tensors together place by place."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import Constant, Refusal, Tensor, Value
from netloom.compile.importers.torch_export.operator_table import OPERATORS, Aten, Drawer, aten


def _plain(kind: str, **fields: tuple[str, Any]) -> Drawer:
    """A layer that keeps the shape; `fields` are its parameters with PyTorch's argument and its default."""

    def drawer(op: Aten) -> list[Value]:
        params: dict[str, Any] = {
            name: op.get(argument, default) if isinstance(default, str) else op.number(argument, default)
            for name, (argument, default) in fields.items()
        }
        return op.each(kind, **params)

    return drawer


OPERATORS |= {
    "relu": _plain("ReLU"),
    "relu6": _plain("ReLU6"),
    "leaky_relu": _plain("LeakyReLU", slope=("negative_slope", 0.01)),
    "celu": _plain("CELU", alpha=("alpha", 1.0)),
    "selu": _plain("SELU"),
    "sigmoid": _plain("Sigmoid"),
    "tanh": _plain("Tanh"),
    "softplus": _plain("Softplus", beta=("beta", 1.0), threshold=("threshold", 20.0)),
    "gelu": _plain("GELU", approximate=("approximate", "none")),
    "silu": _plain("SiLU"),
    "mish": _plain("Mish"),
    "hardswish": _plain("Hardswish"),
    "hardsigmoid": _plain("Hardsigmoid"),
    "log_sigmoid": _plain("LogSigmoid"),
    "softshrink": _plain("Softshrink", threshold=("lambd", 0.5)),
    "hardshrink": _plain("Hardshrink", threshold=("lambd", 0.5)),
    "threshold": _plain("Threshold", threshold=("threshold", 0.0), value=("value", 0.0)),
}


def _function(name: str) -> Drawer:
    def drawer(op: Aten) -> list[Value]:
        return op.each("Function", function=name)

    return drawer


for _name in (
    "neg exp expm1 log log1p log2 log10 sqrt rsqrt square reciprocal sin cos tan asin acos atan sinh cosh asinh "
    "erf sign floor ceil round"
).split():
    OPERATORS[_name] = _function(_name)


@aten("elu")
def _elu(op: Aten) -> list[Value]:
    if op.number("scale", 1.0) != 1 or op.number("input_scale", 1.0) != 1:
        raise Refusal("only an ELU without scaling is supported")
    return op.each("ELU", alpha=op.number("alpha", 1.0))


@aten("hardtanh")
def _hardtanh(op: Aten) -> list[Value]:
    low, high = op.number("min_val", -1.0), op.number("max_val", 1.0)
    return op.each("ReLU6") if (low, high) == (0.0, 6.0) else op.each("Hardtanh", low=low, high=high)


@aten("clamp", "clip", "clamp_min", "clamp_max")
def _clamp(op: Aten) -> list[Value]:
    low = op.number("min") if op.get("min") is not None else None
    high = op.number("max") if op.get("max") is not None else None
    return op.each("Clamp", low=low, high=high)


@aten("prelu", "_prelu_kernel")
def _prelu(op: Aten) -> Any:
    weight = op.args.get("weight")
    if isinstance(weight, Constant):
        weight = replace(weight, array=weight.array.reshape(-1))
    return op.layer("PRelu", op.value(), weight)


@aten("glu")
def _glu(op: Aten) -> list[Value]:
    tensor = op.tensor()
    return op.each("GLU", tensor, axis=op.draw.single(tensor, op.axis()))


@aten("softmax", "_softmax", "log_softmax", "_log_softmax", "special_softmax")
def _softmax(op: Aten) -> Any:
    kind = "LogSoftmax" if "log" in op.type else "Softmax"
    return op.layer(kind, op.tensor(), axis=op.axis())


@aten("dropout", "feature_dropout", "alpha_dropout", "native_dropout")
def _dropout(op: Aten) -> list[Value]:
    """Dropout, which does nothing while it answers, and is kept as a network is to be trained further."""
    value, rate = op.args.get("input"), op.number("p", 0.5)
    if not isinstance(value, Tensor) or not 0 < rate < 1 or value.spec.dtype != "float":
        return [value]  # type: ignore[list-item]
    kind = {"dropout": "Dropout", "alpha_dropout": "AlphaDropout"}.get(op.type)
    if kind is None:
        rank = len(value.spec.shape)
        kind = f"Dropout{rank - 2}d" if 3 <= rank <= 5 else "Dropout"
    try:
        return op.each(kind, value, rate=round(rate, 9))
    except Refusal:
        return [value]


@aten(
    *("alias", "clone", "contiguous", "detach", "lift_fresh_copy", "type_as", "to", "_to_copy", "identity", "float"),
    *("lift_fresh", "_assert_tensor_metadata", "requires_grad"),
)
def _same(op: Aten) -> Any:
    value, kind = op.value("self"), op.args.get("dtype")
    if kind is None or not isinstance(value, Tensor):
        return [value]
    to = {5: 7, 12: 9}.get(kind, 1 if kind in (6, 7, 8, 13) else 7)
    return op.layer("Cast", value, to=to)


# Several tensors, place by place.

_PAIRS = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "maximum": "Max", "minimum": "Min",
    "true_divide": "Div", "subtract": "Sub", "multiply": "Mul", "divide": "Div",
}  # fmt: skip


@aten(*_PAIRS, "rsub")
def _pair(op: Aten) -> Any:
    first = "self" if "self" in op.args else "input"
    a, b = op.value(first), op.value("exponent" if op.type == "pow" else "other")
    if op.get("rounding_mode") is not None:
        raise Refusal("division with rounding is not supported")
    if op.type == "rsub":
        a, b = b, a
    alpha = op.number("alpha", 1.0)
    if alpha != 1:
        if op.type == "rsub":
            a, b = _times(op, a, 1.0), _times(op, b, alpha)
        else:
            b = _times(op, b, alpha)
    kind = _PAIRS.get(op.type, "Sub")
    try:
        return op.layer(kind, a, b)
    except Refusal:
        if kind == "Div" or not all(_is_whole(one) for one in (a, b)):
            raise
    sums = op.layer(kind, *(_as_float(op, one) for one in (a, b)))[0]
    return op.layer("Cast", sums, to=7)


def _is_whole(value: Value) -> bool:
    return value.spec.dtype == "int" if isinstance(value, Tensor) else value.array.dtype.kind == "i"


def _as_float(op: Aten, value: Value) -> Value:
    if not _is_whole(value):
        return value
    if isinstance(value, Constant):
        return Constant(value.array.astype(np.float32))
    converted: Value = op.layer("Cast", value, to=1)[0]  # type: ignore[assignment]
    return converted


def _times(op: Aten, value: Value, factor: float) -> Value:
    if factor == 1:
        return value
    if isinstance(value, Constant):
        return Constant(value.array * np.float32(factor))
    product: Value = op.layer("Mul", value, Constant(np.asarray(factor, np.float32)))[0]  # type: ignore[assignment]
    return product


_RELATIONS = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}


@aten(*_RELATIONS, "ne")
def _compare(op: Aten) -> Any:
    if op.type == "ne":
        return op.layer("Not", op.layer("Equal", op.value(), op.value("other"))[0])
    return op.layer(_RELATIONS[op.type], op.value(), op.value("other"))


@aten("logical_not", "bitwise_not")
def _not(op: Aten) -> Any:
    tensor = op.tensor()
    if not tensor.boolean:
        raise Refusal("only boolean values can be negated")
    return op.layer("Not", tensor)


@aten("logical_and", "logical_or", "bitwise_and", "bitwise_or", "__and__", "__or__")
def _both(op: Aten) -> Any:
    return op.layer("And" if "and" in op.type else "Or", op.value(), op.value("other"))


@aten("where")
def _where(op: Aten) -> Any:
    a, b = op.value("self"), op.value("other")
    if _is_whole(a) != _is_whole(b):
        a, b = _as_float(op, a), _as_float(op, b)
    return op.layer("Where", op.value("condition"), a, b)


@aten("masked_fill")
def _masked_fill(op: Aten) -> Any:
    tensor, mask, number = op.value(), op.value("mask"), op.number("value")
    if isinstance(mask, Constant) and isinstance(tensor, Tensor):
        if number == -math.inf:  # what a softmax makes of it is the same as of what is added
            return op.layer("Add", tensor, Constant(np.where(mask.array, -np.inf, 0).astype(np.float32)))
        keep = np.where(mask.array, 0, 1).astype(np.float32)
        visible = op.layer("Mul", tensor, Constant(keep))[0]
        return op.layer("Add", visible, Constant(np.where(mask.array, number, 0).astype(np.float32)))
    filled = Constant(np.asarray(max(number, -1e9), np.float32))
    return op.layer("Where", mask, filled, tensor)
