"""Conversion of Python operators between tensors and numbers to layers of the catalog."""

from __future__ import annotations

import ast
import math
from typing import Any

from netloom.compile.formula.graph_builder import GraphBuilder, UnlocatedError
from netloom.compile.formula.values import Number, Tensor

PAIRS: dict[type[ast.operator], str] = {
    ast.Add: "Add",
    ast.Sub: "Subtract",
    ast.Mult: "Multiply",
    ast.Div: "Divide",
    ast.MatMult: "MatMul",
}
SIGNS: dict[type[ast.operator], str] = {
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@"},
    **{ast.Pow: "**", ast.FloorDiv: "//"},
}
RELATIONS: dict[type[ast.cmpop], str] = {
    **{ast.Lt: "<", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!=", ast.GtE: ">=", ast.Gt: ">"},
}
# The relation with its sides swapped, as Compare has the tensor on the left
_TURNED = {"<": ">", "<=": ">=", "==": "==", "!=": "!=", ">=": "<=", ">": "<"}
_ONE_MINUS = {"scale": -1.0}


def binary(
    builder: GraphBuilder, sign: type[ast.operator], left: Tensor | Number, right: Tensor | Number, name: str
) -> Any:
    """The node of a binary operator, at least one of whose operands is a tensor.

    Raises:
        UnlocatedError: There is no layer for the operator.
    """
    if sign not in SIGNS:
        raise UnlocatedError("tensors support + - * / // @ ** and comparisons")
    # floor(a / b), which rounds toward −∞ as in Python
    if sign is ast.FloorDiv:
        return builder.add_node(
            "Function", [binary(builder, ast.Div, left, right, "")], {"function": "floor"}, name=name
        )
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        if sign is ast.Pow:
            return builder.add_node("Power", [left, right], {"exponent": None}, name=name)
        return builder.add_node(PAIRS[sign], [left, right], name=name)
    if isinstance(left, Tensor) and isinstance(right, Number):
        return _after(builder, sign, left, right, name)
    if isinstance(left, Number) and isinstance(right, Tensor):
        return _before(builder, sign, left, right, name)
    raise UnlocatedError("an operator between two numbers is allowed only in the parameters of a layer")


def compare(
    builder: GraphBuilder, sign: type[ast.cmpop], left: Tensor | Number, right: Tensor | Number, name: str
) -> Any:
    """1 where the relation holds, 0 elsewhere.

    Raises:
        UnlocatedError: The operator does not compare numbers, such as `in` and `is`.
    """
    if sign not in RELATIONS:
        raise UnlocatedError(f"tensors can be compared with {' '.join(_TURNED)}")
    relation = RELATIONS[sign]
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return builder.add_node("Compare", [left, right], {"relation": relation}, name=name)
    if isinstance(left, Number):
        left, right, relation = right, left, _TURNED[relation]
    if not (isinstance(left, Tensor) and isinstance(right, Number)):
        raise UnlocatedError("at least one side of a comparison must be a tensor")
    return builder.add_node("Compare", [left], {"relation": relation, "value": right}, name=name)


def negative(builder: GraphBuilder, tensor: Tensor, name: str) -> Tensor:
    """-x."""
    return builder.add_node("Function", [tensor], {"function": "neg"}, name=name)


def _after(builder: GraphBuilder, sign: type[ast.operator], tensor: Tensor, number: Number, name: str) -> Tensor:
    """The node of `tensor ∘ number`."""
    value = number.value
    if sign is ast.Pow:
        return builder.add_node("Power", [tensor], {"exponent": number}, name=name)
    if sign is ast.MatMult:
        raise UnlocatedError("@ multiplies two tensors; write * for a number")
    if sign is ast.Div and value == 0:
        raise UnlocatedError("division by 0")
    params: dict[type[ast.operator], dict[str, Any]] = {
        ast.Add: {"shift": number},
        ast.Sub: {"shift": number.within("-") if value is None else -value},
        ast.Mult: {"scale": number},
        ast.Div: {"scale": 1 / value if value else number.within("1 / ")},
    }
    return builder.add_node("ScaleShift", [tensor], params[sign], name=name)


def _before(builder: GraphBuilder, sign: type[ast.operator], number: Number, tensor: Tensor, name: str) -> Tensor:
    """The node of `number ∘ tensor`."""
    if sign in (ast.Add, ast.Mult):
        return _after(builder, sign, tensor, number, name)
    if sign is ast.Sub:
        return builder.add_node("ScaleShift", [tensor], {**_ONE_MINUS, "shift": number}, name=name)
    if sign is ast.Div:
        reciprocal = builder.add_node(
            "Function", [tensor], {"function": "reciprocal"}, name=name if number.value == 1 else ""
        )
        return (
            reciprocal
            if number.value == 1
            else builder.add_node("ScaleShift", [reciprocal], {"scale": number}, name=name)
        )
    if sign is ast.Pow:
        if number.value is None or number.value <= 0:
            raise UnlocatedError("a number raised to a tensor must be positive, such as 2 ** x")
        # a ** x = exp(x · log a), because Power has a constant exponent, not a constant base
        scaled = builder.add_node("ScaleShift", [tensor], {"scale": math.log(number.value)})
        return builder.add_node("Function", [scaled], {"function": "exp"}, name=name)
    raise UnlocatedError("@ multiplies two tensors; write * for a number")


def indexed(builder: GraphBuilder, tensor: Tensor, parts: list[Any], name: str) -> Tensor:
    """The nodes of x[:, a, b:c]; `parts` are ..., integers, and triples (start, end, step) for slices.

    Raises:
        UnlocatedError: The batch axis is indexed.
    """
    dots = [position for position, part in enumerate(parts) if part is ...]
    if len(dots) > 1 or (parts and parts[0] not in (..., (None, None, None))):
        raise UnlocatedError(
            "the first axis is the batch axis, which cannot be indexed: write x[:, 0], or x[..., 0] for the last axis"
        )
    front = parts[: dots[0]] if dots else parts
    back = parts[dots[0] + 1 :] if dots else []
    # Select removes its axis, which moves the axes behind it. Axes before the dots count from the front, so the last is
    # removed first; those after the dots count from the back, so the first is removed first.
    steps = [(axis, part) for axis, part in reversed(list(enumerate(front)))]
    steps += [(position - len(back), part) for position, part in enumerate(back)]
    steps = [(axis, part) for axis, part in steps if part != (None, None, None)]
    for number, (axis, part) in enumerate(steps, 1):
        last = name if number == len(steps) else ""
        if isinstance(part, tuple):
            start, end, step = part
            bounds = {"start": start or 0, "end": end, "step": step}
            params = {"axis": axis, **{key: value for key, value in bounds.items() if value is not None}}
            tensor = builder.add_node("Slice", [tensor], params, name=last)
        else:
            tensor = builder.add_node("Select", [tensor], {"axis": axis, "index": part}, name=last)
    return tensor
