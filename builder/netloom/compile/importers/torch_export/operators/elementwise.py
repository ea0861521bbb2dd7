"""Elementwise operators of one or several tensors."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.torch_export.operators.table import OPERATORS, AtenCall, Converter, aten


def _plain(kind: str, **fields: tuple[str, Any]) -> Converter:
    """A converter to a layer that keeps the shape; `fields` maps its parameters to arguments and their defaults."""

    def convert(op: AtenCall) -> list[Value]:
        params: dict[str, Any] = {
            name: op.argument(argument, default) if isinstance(default, str) else op.number(argument, default)
            for name, (argument, default) in fields.items()
        }
        return op.elementwise(kind, **params)

    return convert


OPERATORS |= {
    "relu": _plain("ReLU"),
    "relu6": _plain("ReLU6"),
    "leaky_relu": _plain("LeakyReLU", slope=("negative_slope", 0.01)),
    "rrelu": _plain("RReLU", low=("lower", 1 / 8), high=("upper", 1 / 3)),
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


def _function(name: str) -> Converter:
    def convert(op: AtenCall) -> list[Value]:
        return op.elementwise("Function", function=name)

    return convert


for _name in (
    "neg exp expm1 log log1p log2 log10 sqrt rsqrt square reciprocal sin cos tan asin acos atan sinh cosh asinh "
    "erf sign floor ceil round"
).split():
    OPERATORS[_name] = _function(_name)


@aten("elu")
def _elu(op: AtenCall) -> list[Value]:
    if op.number("scale", 1.0) != 1 or op.number("input_scale", 1.0) != 1:
        raise UnsupportedOperatorError("only an ELU without scaling is supported")
    return op.elementwise("ELU", alpha=op.number("alpha", 1.0))


@aten("hardtanh")
def _hardtanh(op: AtenCall) -> list[Value]:
    low, high = op.number("min_val", -1.0), op.number("max_val", 1.0)
    return op.elementwise("ReLU6") if (low, high) == (0.0, 6.0) else op.elementwise("Hardtanh", low=low, high=high)


@aten("clamp", "clip", "clamp_min", "clamp_max")
def _clamp(op: AtenCall) -> Any:
    limits = (None if op.argument(name) is None else op.number(name) for name in ("min", "max"))
    arrays = (None if limit is None else Constant(np.asarray(limit, np.float32)) for limit in limits)
    return op.apply("Clip", op.tensor(), *arrays)


@aten("prelu", "_prelu_kernel")
def _prelu(op: AtenCall) -> Any:
    weight = op.args.get("weight")
    if isinstance(weight, Constant):
        weight = replace(weight, array=weight.array.reshape(-1))
    return op.apply("PRelu", op.value(), weight)


@aten("glu")
def _glu(op: AtenCall) -> list[Value]:
    tensor = op.tensor()
    return op.elementwise("GLU", tensor, axis=op.builder.single_axis(tensor, op.axis()))


@aten("softmax", "_softmax", "log_softmax", "_log_softmax", "special_softmax")
def _softmax(op: AtenCall) -> Any:
    kind = "LogSoftmax" if "log" in op.type else "Softmax"
    return op.apply(kind, op.tensor(), axis=op.axis())


@aten("dropout", "feature_dropout", "alpha_dropout", "native_dropout")
def _dropout(op: AtenCall) -> list[Value]:
    """Dropout, the identity in evaluation mode, which is imported for further training."""
    # dropout_ calls its input self.
    value, rate = op.args.get("input", op.args.get("self")), op.number("p", 0.5)
    if not isinstance(value, Tensor) or not 0 < rate < 1 or value.spec.dtype != "float":
        return [value]  # type: ignore[list-item]
    kind = {"dropout": "Dropout", "alpha_dropout": "AlphaDropout"}.get(op.type)
    if kind is None:
        rank = len(value.spec.shape)
        kind = f"Dropout{rank - 2}d" if 3 <= rank <= 5 else "Dropout"
    try:
        return op.elementwise(kind, value, rate=round(rate, 9))
    except UnsupportedOperatorError:
        return [value]


@aten(
    *("alias", "clone", "contiguous", "lift_fresh_copy", "type_as", "to", "_to_copy", "identity", "float"),
    *("lift_fresh", "_assert_tensor_metadata", "requires_grad"),
)
def _same(op: AtenCall) -> Any:
    value, kind = op.value("self"), op.args.get("dtype")
    if kind is None or not isinstance(value, Tensor):
        return [value]
    # From ScalarType of torch.export to TensorProto.DataType of ONNX: int64 is 5 and 7, bool 12 and 9, floats 1.
    to = {5: 7, 12: 9}.get(kind, 1 if kind in (6, 7, 8, 13) else 7)
    return op.apply("Cast", value, to=to)


@aten("detach")
def _detach(op: AtenCall) -> list[Value]:
    """A layer that stops the gradient, as in a straight-through estimator; an input has none anyway."""
    tensor = op.tensor()
    if tensor.spec.dtype != "float" or op.builder.nodes[tensor.ref.partition(".")[0]].type == "Input":
        return [tensor]
    return op.elementwise("Identity", stop_gradient=True)


# Elementwise operators of several tensors

_PAIRS = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "maximum": "Max", "minimum": "Min",
    "true_divide": "Div", "subtract": "Sub", "multiply": "Mul", "divide": "Div",
}  # fmt: skip


@aten(*_PAIRS, "rsub")
def _pair(op: AtenCall) -> Any:
    first = "self" if "self" in op.args else "input"
    a, b = op.value(first), op.value("exponent" if op.type == "pow" else "other")
    if op.argument("rounding_mode") is not None:
        raise UnsupportedOperatorError("division with rounding is not supported")
    if op.type == "rsub":
        a, b = b, a
    alpha = op.number("alpha", 1.0)
    # add, sub and rsub multiply their second argument by alpha.
    if alpha != 1:
        if op.type == "rsub":
            a, b = _times(op, a, 1.0), _times(op, b, alpha)
        else:
            b = _times(op, b, alpha)
    kind = _PAIRS.get(op.type, "Sub")
    if kind == "Div":
        # The quotient of integers is a float in PyTorch, but an integer in ONNX.
        a, b = _as_float(op, a), _as_float(op, b)
    try:
        return op.apply(kind, a, b)
    except UnsupportedOperatorError:
        if kind == "Div" or not all(_is_whole(tensor) for tensor in (a, b)):
            raise
    # Layers such as Add do not accept integers, which are converted to floats and back.
    sums = op.apply(kind, *(_as_float(op, tensor) for tensor in (a, b)))[0]
    return op.apply("Cast", sums, to=7)


def _is_whole(value: Value) -> bool:
    return value.spec.dtype == "int" if isinstance(value, Tensor) else value.array.dtype.kind == "i"


def _as_float(op: AtenCall, value: Value) -> Value:
    if not _is_whole(value):
        return value
    if isinstance(value, Constant):
        return Constant(value.array.astype(np.float32))
    converted: Value = op.apply("Cast", value, to=1)[0]  # type: ignore[assignment]
    return converted


def _times(op: AtenCall, value: Value, factor: float) -> Value:
    if factor == 1:
        return value
    if isinstance(value, Constant):
        return Constant(value.array * np.float32(factor))
    product: Value = op.apply("Mul", value, Constant(np.asarray(factor, np.float32)))[0]  # type: ignore[assignment]
    return product


@aten("addcmul", "addcdiv")
def _added_pair(op: AtenCall) -> Any:
    """self + value · tensor1 · tensor2, or with a quotient in place of the product."""
    pair = op.apply("Mul" if op.type == "addcmul" else "Div", op.value("tensor1"), op.value("tensor2"))[0]
    if not isinstance(pair, Tensor | Constant):
        raise UnsupportedOperatorError("an input is missing")
    return op.apply("Add", op.value(), _times(op, pair, op.number("value", 1.0)))


_RELATIONS = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}


@aten(*_RELATIONS, "ne")
def _compare(op: AtenCall) -> Any:
    if op.type == "ne":
        return op.apply("Not", op.apply("Equal", op.value(), op.value("other"))[0])
    return op.apply(_RELATIONS[op.type], op.value(), op.value("other"))


@aten("logical_not", "bitwise_not")
def _not(op: AtenCall) -> Any:
    tensor = op.tensor()
    if not tensor.boolean:
        raise UnsupportedOperatorError("only boolean values can be negated")
    return op.apply("Not", tensor)


@aten("logical_and", "logical_or", "bitwise_and", "bitwise_or", "__and__", "__or__")
def _both(op: AtenCall) -> Any:
    return op.apply("And" if "and" in op.type else "Or", op.value(), op.value("other"))


@aten("where")
def _where(op: AtenCall) -> Any:
    a, b = op.value("self"), op.value("other")
    if _is_whole(a) != _is_whole(b):
        a, b = _as_float(op, a), _as_float(op, b)
    return op.apply("Where", op.value("condition"), a, b)


@aten("masked_fill")
def _masked_fill(op: AtenCall) -> Any:
    tensor, mask, number = op.value(), op.value("mask"), op.number("value")
    if isinstance(mask, Constant) and isinstance(tensor, Tensor) and number == -math.inf:
        # Before a softmax, adding −inf has the same effect.
        return op.apply("Add", tensor, Constant(np.where(mask.array, -np.inf, 0).astype(np.float32)))
    kind = np.int64 if _is_whole(tensor) else np.float32
    return op.apply("Where", mask, Constant(np.asarray(number, kind)), tensor)


@aten("diff")
def _difference(op: AtenCall) -> Any:
    """The differences of consecutive values along one axis."""
    if op.integer("n", 1) != 1 or any(op.args.get(name) is not None for name in ("prepend", "append")):
        raise UnsupportedOperatorError("only first differences without further values are supported")
    if op.tensor().boolean:
        raise UnsupportedOperatorError("only differences of numbers are supported")
    axis = op.axis()
    later, earlier = (
        op.apply("Slice", op.tensor(), starts=[start], ends=[end], axes=[axis], steps=[1])[0]
        for start, end in ((1, 2**31), (0, -1))
    )
    return op.apply("Sub", later, earlier)
