"""Elementwise operators of several inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.onnx.operators.operator import Call, elementwise, operator

# The largest absolute value of the numbers of layers such as Scale and shift, Clamp and Compare
MAX_LITERAL = 1e9


def combine(call: Call, kind: str, values: Sequence[Value], ports: str = "abcdefghijklmnop", **params: Any) -> Tensor:
    """A layer that merges values elementwise; integers are converted to floats and back if the layer needs floats."""
    tensors, axes = call.builder.align(values)
    if len({tensor.spec.dtype for tensor in tensors}) > 1 and kind not in ("Where", "Compare"):
        tensors = [
            call.builder.with_axes_of(call.builder.add_layer("Cast", tensor, "cast", to="float"), tensor)
            if tensor.spec.dtype == "int"
            else tensor
            for tensor in tensors
        ]
    if len(values) > 2 and kind in ("Add", "Multiply", "Maximum", "Minimum", "Average"):
        params["count"] = len(values)
    try:
        result = call.builder.add_layer(kind, dict(zip(ports, tensors, strict=False)), call.name, **params)
    except UnsupportedOperatorError:
        if kind == "Divide" or any(tensor.spec.dtype != "int" for tensor in tensors):
            raise
        real = [call.builder.add_layer("Cast", tensor, "cast", to="float") for tensor in tensors]
        result = call.builder.add_layer(kind, dict(zip(ports, real, strict=False)), call.name, **params)
        result = call.builder.add_layer("Cast", result, "cast", to="int")
    return Tensor(result.ref, result.spec, axes)


def _scale_shift(call: Call, tensor: Tensor, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    if (scale, shift) == (1.0, 0.0):
        return tensor
    scaled = elementwise(call.builder, "ScaleShift", tensor, call.name, scale=scale, shift=shift)
    if (
        tensor.spec.dtype == "int"
        and scaled.spec.dtype == "float"
        and float(scale).is_integer()
        and float(shift).is_integer()
    ):
        # Integers with a whole scale and shift stay integers, as indices must.
        return elementwise(call.builder, "Cast", scaled, "cast", to="int")
    return scaled


def _is_literal(number: float | None) -> bool:
    return number is not None and math.isfinite(number) and abs(number) <= MAX_LITERAL


def _is_integer(value: Value) -> bool:
    return value.spec.dtype == "int" if isinstance(value, Tensor) else value.array.dtype.kind == "i"


def _is_learned(value: Value) -> bool:
    return isinstance(value, Constant) and value.learned_values is not None


def _broadcasts_up(call: Call, tensor: Tensor, index: int) -> bool:
    """Whether broadcasting with the constant gives the result another shape than the tensor's."""
    operand = call.inputs[index]
    if not isinstance(operand, Constant):
        return True
    return np.broadcast_shapes(tensor.shape, operand.shape) != tensor.shape


@operator("Add", "Sub", "Mul", "Div", "Pow", "Sum", "Max", "Min", "Mean")
def _arithmetic(call: Call) -> list[Value]:
    kind, values = call.type, [value for value in call.inputs if value is not None]
    if len(values) == 1:
        return [call.tensor()]
    if kind == "Div" and all(_is_integer(value) for value in values):
        # The quotient of integers is rounded toward zero, as a Cast does.
        return [elementwise(call.builder, "Cast", combine(call, "Divide", values), "cast", to="int")]
    if len(values) == 2:
        for index in (0, 1):
            number, operand = call.scalar(index), values[1 - index]
            if (
                not isinstance(operand, Tensor)
                or number is None
                or _is_learned(values[index])
                or not _is_literal(number)
                or _broadcasts_up(call, operand, index)
            ):
                continue
            tensor = _with_number(call, kind, operand, number, first=index == 0)
            if tensor is not None:
                return [tensor]
    layer = {
        **{"Add": "Add", "Sum": "Add", "Mul": "Multiply", "Sub": "Subtract", "Div": "Divide", "Pow": "Power"},
        **{"Max": "Maximum", "Min": "Minimum", "Mean": "Average"},
    }[kind]
    params: dict[str, Any] = {"exponent": None} if layer == "Power" else {}
    result: Value = values[0]
    # A mean of means would weight the inputs unequally, so that an average is never split.
    if len(values) <= 2 or layer == "Average":
        return [combine(call, layer, values, **params)]
    # A merge layer has at most 16 inputs.
    for start in range(1, len(values), 15):
        result = combine(call, layer, [result, *values[start : start + 15]], **params)
    return [result]


def _with_number(call: Call, kind: str, tensor: Tensor, number: float, first: bool) -> Tensor | None:
    if kind in ("Add", "Sum"):
        return _scale_shift(call, tensor, shift=number)
    if kind == "Mul":
        return _scale_shift(call, tensor, scale=number)
    if kind == "Sub":
        return _scale_shift(call, tensor, -1.0 if first else 1.0, number if first else -number)
    if kind == "Div" and not first and number and _is_literal(1 / number):
        return _scale_shift(call, tensor, scale=1 / number)
    if kind == "Div" and first:
        return _scale_shift(
            call, elementwise(call.builder, "Function", tensor, call.name, function="reciprocal"), scale=number
        )
    if kind == "Pow" and not first and abs(number) <= 64:
        if number == 0.5:
            return elementwise(call.builder, "Function", tensor, call.name, function="sqrt")
        return elementwise(call.builder, "Power", tensor, call.name, exponent=number)
    if kind == "Max":
        return elementwise(call.builder, "Clamp", tensor, call.name, low=number, high=None)
    if kind == "Min":
        return elementwise(call.builder, "Clamp", tensor, call.name, low=None, high=number)
    return None


_RELATIONS = {"Less": "<", "LessOrEqual": "<=", "Equal": "==", "GreaterOrEqual": ">=", "Greater": ">"}
_MIRRORED = {"<": ">", "<=": ">=", "==": "==", ">=": "<=", ">": "<"}


@operator(*_RELATIONS)
def _compare(call: Call) -> list[Value]:
    relation = _RELATIONS[call.type]
    for index in (1, 0):
        number, operand = call.scalar(index), call.inputs[1 - index]
        if (
            isinstance(operand, Tensor)
            and number is not None
            and _is_literal(number)
            and not _broadcasts_up(call, operand, index)
        ):
            # The number on the left: 2 < x is x > 2.
            relation = _MIRRORED[relation] if index == 0 else relation
            result = elementwise(call.builder, "Compare", operand, call.name, relation=relation, value=number)
            return [replace(result, boolean=True)]
    values = [value for value in call.inputs if value is not None]
    return [replace(combine(call, "Compare", values, relation=relation), boolean=True)]


@operator("IsNaN")
def _is_nan(call: Call) -> list[Value]:
    """NaN is the only value that differs from itself (IEEE 754)."""
    tensor = call.tensor()
    result = call.builder.add_layer("Compare", {"a": tensor, "b": tensor}, call.name, relation="!=")
    return [replace(call.builder.with_axes_of(result, tensor), boolean=True)]


@operator("Not")
def _not(call: Call) -> list[Value]:
    return [
        replace(elementwise(call.builder, "ScaleShift", call.tensor(), call.name, scale=-1.0, shift=1.0), boolean=True)
    ]


@operator("And", "Or")
def _and(call: Call) -> list[Value]:
    values = [value for value in call.inputs if value is not None]
    return [replace(combine(call, "Minimum" if call.type == "And" else "Maximum", values), boolean=True)]


@operator("Where")
def _where(call: Call) -> list[Value]:
    values = [value for value in call.inputs if value is not None]
    tensors, axes = call.builder.align(values)
    result = call.builder.add_layer("Where", dict(zip(("condition", "a", "b"), tensors, strict=True)), call.name)
    return [Tensor(result.ref, result.spec, axes)]
