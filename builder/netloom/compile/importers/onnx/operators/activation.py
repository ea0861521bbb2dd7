"""Activations and other elementwise functions of one input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.onnx.operators.arithmetic import MAX_LITERAL, combine
from netloom.compile.importers.onnx.operators.operator import OPERATORS, Call, Converter, elementwise, operator

_LARGEST_FLOAT = float(np.finfo(np.float32).max)


def _activation(kind: str, **fields: tuple[str, Any]) -> Converter:
    """A converter to an elementwise layer; `fields` maps its parameters to attributes of ONNX and their defaults."""

    def convert(call: Call) -> list[Value]:
        params = {name: call.attribute(attribute, default) for name, (attribute, default) in fields.items()}
        return [elementwise(call.builder, kind, call.tensor(), call.name, **params)]

    return convert


OPERATORS |= {
    "Relu": _activation("ReLU"),
    "LeakyRelu": _activation("LeakyReLU", slope=("alpha", 0.01)),
    "Elu": _activation("ELU", alpha=("alpha", 1.0)),
    "Celu": _activation("CELU", alpha=("alpha", 1.0)),
    "Sigmoid": _activation("Sigmoid"),
    "Tanh": _activation("Tanh"),
    "Softplus": _activation("Softplus"),
    "Softsign": _activation("Softsign"),
    "HardSwish": _activation("Hardswish"),
    "Mish": _activation("Mish"),
    "Gelu": _activation("GELU", approximate=("approximate", "none")),
}
for _kind, _name in {
    "Abs": "abs", "Neg": "neg", "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Reciprocal": "reciprocal", "Sin": "sin",
    "Cos": "cos", "Tan": "tan", "Asin": "asin", "Acos": "acos", "Atan": "atan", "Sinh": "sinh", "Cosh": "cosh",
    "Asinh": "asinh", "Erf": "erf", "Sign": "sign", "Floor": "floor", "Ceil": "ceil", "Round": "round",
}.items():  # fmt: skip
    OPERATORS[_kind] = _activation("Function", function=("", _name))


@operator("Selu")
def _selu(call: Call) -> list[Value]:
    if (
        abs(call.attribute("alpha", 1.6732632) - 1.6732632) > 1e-5
        or abs(call.attribute("gamma", 1.0507010) - 1.0507010) > 1e-5
    ):
        raise UnsupportedOperatorError("only SELU with its published constants is supported")
    return [elementwise(call.builder, "SELU", call.tensor(), call.name)]


@operator("HardSigmoid")
def _hard_sigmoid(call: Call) -> list[Value]:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    # PyTorch has the slope 1/6, ONNX the default 0.2: https://onnx.ai/onnx/operators/onnx__HardSigmoid.html
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return [elementwise(call.builder, "Hardsigmoid", call.tensor(), call.name)]
    scaled = elementwise(call.builder, "ScaleShift", call.tensor(), "", scale=alpha, shift=beta)
    return [elementwise(call.builder, "Clamp", scaled, call.name, low=0.0, high=1.0)]


@operator("ThresholdedRelu")
def _thresholded_relu(call: Call) -> list[Value]:
    threshold = call.attribute("alpha", 1.0)
    return [elementwise(call.builder, "Threshold", call.tensor(), call.name, threshold=threshold, value=0.0)]


@operator("Shrink")
def _shrink(call: Call) -> list[Value | None]:
    """x − bias · sign(x) where |x| > lambd, and 0 elsewhere."""
    threshold, bias = call.attribute("lambd", 0.5), call.attribute("bias", 0.0)
    if threshold < 0:
        raise UnsupportedOperatorError("its lambd is negative")
    if bias == threshold:
        return [elementwise(call.builder, "Softshrink", call.tensor(), call.name, threshold=threshold)]
    large = elementwise(call.builder, "Hardshrink", call.tensor(), call.name, threshold=threshold)
    if not bias:
        return [large]
    signs = elementwise(call.builder, "Function", large, "", function="sign")
    return list(call.apply("Add", large, elementwise(call.builder, "ScaleShift", signs, "", scale=-bias, shift=0.0)))


@operator("Swish")
def _swish(call: Call) -> list[Value | None]:
    alpha = call.attribute("alpha", 1.0)
    if alpha == 1:
        return [elementwise(call.builder, "SiLU", call.tensor(), call.name)]
    scaled = elementwise(call.builder, "ScaleShift", call.tensor(), "", scale=alpha, shift=0.0)
    return list(call.apply("Mul", call.tensor(), *call.apply("Sigmoid", scaled)))


@operator("Clip")
def _clip(call: Call) -> list[Value]:
    if call.opset < 11:
        low, high = call.attribute("min", None), call.attribute("max", None)
    else:
        low, high = call.scalar(1), call.scalar(2)
    if (low, high) == (0.0, 6.0):
        return [elementwise(call.builder, "ReLU6", call.tensor(), call.name)]
    tensor = call.tensor()
    # No value lies beyond the largest float32, the default limit of older opsets.
    largest = _LARGEST_FLOAT if tensor.spec.dtype == "float" else MAX_LITERAL
    low = None if low is None or low <= -largest else low
    high = None if high is None or high >= largest else high
    for layer, limit in (("Maximum", low), ("Minimum", high)):
        if limit is not None and abs(limit) > MAX_LITERAL:
            tensor = combine(call, layer, [tensor, Constant(np.asarray(limit, np.float32))])
    low, high = (None if limit is None or abs(limit) > MAX_LITERAL else limit for limit in (low, high))
    if low is None and high is None:
        return [tensor]
    return [elementwise(call.builder, "Clamp", tensor, call.name, low=low, high=high)]


@operator("PRelu")
def _prelu(call: Call) -> list[Value]:
    slope = call.required_array(1)
    tensor = call.builder.to_batch_first(call.tensor())
    if slope.size > 1 and (tensor.rank < 2 or slope.size != tensor.length(1) or slope.size != max(slope.shape)):
        raise UnsupportedOperatorError("it needs one slope, or one slope per channel")
    weights = {"weight": slope.reshape(-1)}
    return [call.builder.add_layer("PReLU", tensor, call.module_name(1), per_channel=slope.size > 1, weights=weights)]


@operator("Softmax", "LogSoftmax")
def _softmax(call: Call) -> list[Value]:
    tensor = call.tensor()
    axis = call.axis(-1 if call.opset >= 13 else 1)
    # Before opset 13, softmax flattens all axes from `axis` on and normalizes over them together.
    if call.opset < 13 and axis != tensor.rank - 1:
        raise UnsupportedOperatorError(
            "before opset 13, it covers several axes at once; export the network with a newer opset"
        )
    port_axis = call.builder.single_axis(tensor, axis)
    params = {} if port_axis == len(tensor.spec.shape) - 1 else {"axis": port_axis}
    return [elementwise(call.builder, call.type, tensor, call.name, **params)]


@operator("Identity")
def _same(call: Call) -> list[Value | None]:
    return [call.inputs[0]]


@operator("Dropout")
def _dropout(call: Call) -> list[Value | None]:
    """Dropout, the identity in evaluation mode, which is imported for further training."""
    if call.used_outputs[1:] and any(call.used_outputs[1:]):
        raise UnsupportedOperatorError("the mask of a dropout is random")
    value, rate = call.inputs[0], call.scalar(1)
    # An attribute before opset 12, an input since; float32 in the file, so that 0.1 is read as 0.10000000149
    rate = round(float(call.attribute("ratio", 0.5)) if rate is None else rate, 9)
    if not isinstance(value, Tensor) or not 0 < rate < 1 or value.spec.dtype != "float":
        return [value, None]
    return [elementwise(call.builder, "Dropout", value, call.name, rate=rate), None]


@operator("Cast", "CastLike")
def _cast(call: Call) -> list[Value]:
    tensor = call.tensor()
    if call.type == "CastLike":
        return [tensor]
    to = int(call.attribute("to", 1))
    # TensorProto.DataType: 1 is float32, 9 bool, 10 float16, 11 float64, 16 bfloat16; all others are integers.
    if to == 9:
        if tensor.boolean:
            return [tensor]
        nonzero = elementwise(call.builder, "Compare", tensor, call.name, relation="!=", value=0.0)
        return [replace(nonzero, boolean=True)]
    kind = "float" if to in (1, 10, 11, 16) else "int"
    if tensor.spec.dtype == kind:
        return [replace(tensor, boolean=False)]
    return [elementwise(call.builder, "Cast", tensor, call.name, to=kind)]
