"""Signs between tensors and numbers as layers of the catalogue."""

from __future__ import annotations

import ast
import math
from typing import Any

from netloom.compile.formula.graph_builder import Drawing, Mistake
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
_TURNED = {"<": ">", "<=": ">=", "==": "==", "!=": "!=", ">=": "<=", ">": "<"}
_ONE_MINUS = {"scale": -1.0}


def binary(drawing: Drawing, sign: type[ast.operator], left: Tensor | Number, right: Tensor | Number, name: str) -> Any:
    """Two things with a sign between them, at least one of which is a tensor.

    Raises:
        Mistake: the catalogue has nothing that does this.
    """
    if sign not in SIGNS:
        raise Mistake("tensors support + - * / // @ ** and comparisons")
    if sign is ast.FloorDiv:
        return drawing.node("Function", [binary(drawing, ast.Div, left, right, "")], {"function": "floor"}, name=name)
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        if sign is ast.Pow:
            return drawing.node("Power", [left, right], {"exponent": None}, name=name)
        return drawing.node(PAIRS[sign], [left, right], name=name)
    if isinstance(left, Tensor) and isinstance(right, Number):
        return _after(drawing, sign, left, right, name)
    if isinstance(left, Number) and isinstance(right, Tensor):
        return _before(drawing, sign, left, right, name)
    raise Mistake("an operator between two numbers is allowed only in the parameters of a layer")


def compare(drawing: Drawing, sign: type[ast.cmpop], left: Tensor | Number, right: Tensor | Number, name: str) -> Any:
    """1 where the relation holds, 0 elsewhere.

    Raises:
        Mistake: it is no relation between numbers.
    """
    if sign not in RELATIONS:
        raise Mistake(f"tensors can be compared with {' '.join(_TURNED)}")
    relation = RELATIONS[sign]
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return drawing.node("Compare", [left, right], {"relation": relation}, name=name)
    if isinstance(left, Number):
        left, right, relation = right, left, _TURNED[relation]
    if not (isinstance(left, Tensor) and isinstance(right, Number)):
        raise Mistake("at least one side of a comparison must be a tensor")
    return drawing.node("Compare", [left], {"relation": relation, "value": right}, name=name)


def negative(drawing: Drawing, tensor: Tensor, name: str) -> Tensor:
    """-x."""
    return drawing.node("Function", [tensor], {"function": "neg"}, name=name)


def _after(drawing: Drawing, sign: type[ast.operator], tensor: Tensor, number: Number, name: str) -> Tensor:
    """tensor ∘ number."""
    value = number.value
    if sign is ast.Pow:
        return drawing.node("Power", [tensor], {"exponent": number}, name=name)
    if sign is ast.MatMult:
        raise Mistake("@ multiplies two tensors; write * for a number")
    if sign is ast.Div and value == 0:
        raise Mistake("division by 0")
    params: dict[type[ast.operator], dict[str, Any]] = {
        ast.Add: {"shift": number},
        ast.Sub: {"shift": number.within("-") if value is None else -value},
        ast.Mult: {"scale": number},
        ast.Div: {"scale": 1 / value if value else number.within("1 / ")},
    }
    return drawing.node("ScaleShift", [tensor], params[sign], name=name)


def _before(drawing: Drawing, sign: type[ast.operator], number: Number, tensor: Tensor, name: str) -> Tensor:
    """number ∘ tensor."""
    if sign in (ast.Add, ast.Mult):
        return _after(drawing, sign, tensor, number, name)
    if sign is ast.Sub:
        return drawing.node("ScaleShift", [tensor], {**_ONE_MINUS, "shift": number}, name=name)
    if sign is ast.Div:
        one = drawing.node("Function", [tensor], {"function": "reciprocal"}, name=name if number.value == 1 else "")
        return one if number.value == 1 else drawing.node("ScaleShift", [one], {"scale": number}, name=name)
    if sign is ast.Pow:
        if number.value is None or number.value <= 0:
            raise Mistake("a number raised to a tensor must be positive, such as 2 ** x")
        scaled = drawing.node("ScaleShift", [tensor], {"scale": math.log(number.value)})
        return drawing.node("Function", [scaled], {"function": "exp"}, name=name)
    raise Mistake("@ multiplies two tensors; write * for a number")


def indexed(drawing: Drawing, tensor: Tensor, parts: list[Any], name: str) -> Tensor:
    """x[:, a, b:c], in which `parts` are ..., whole numbers, and triples for slices; the batch is taken whole.

    Raises:
        Mistake: it takes a part of the batch.
    """
    dots = [place for place, part in enumerate(parts) if part is ...]
    if len(dots) > 1 or (parts and parts[0] not in (..., (None, None, None))):
        raise Mistake(
            "the first axis is the batch axis, which cannot be indexed: write x[:, 0], or x[..., 0] for the last axis"
        )
    front = parts[: dots[0]] if dots else parts
    back = parts[dots[0] + 1 :] if dots else []
    # Where an axis goes, those behind it move up: so the last of the front comes first, and the first of the back.
    steps = [(axis, part) for axis, part in reversed(list(enumerate(front)))]
    steps += [(place - len(back), part) for place, part in enumerate(back)]
    steps = [(axis, part) for axis, part in steps if part != (None, None, None)]
    for number, (axis, part) in enumerate(steps, 1):
        last = name if number == len(steps) else ""
        if isinstance(part, tuple):
            start, end, step = part
            given = {"start": start or 0, "end": end, "step": step}
            params = {"axis": axis, **{key: value for key, value in given.items() if value is not None}}
            tensor = drawing.node("Slice", [tensor], params, name=last)
        else:
            tensor = drawing.node("Select", [tensor], {"axis": axis, "index": part}, name=last)
    return tensor
