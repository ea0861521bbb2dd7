"""Numeric expressions such as `width * 4` or `d_model // heads`, which are parsed and never executed as Python."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

MAX_LENGTH = 200
MAX_VALUE = 1e15
MAX_POWER = 64
MAX_DIGITS = 15

Number = int | float

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


def _rounded(value: Number, digits: Number = 0) -> Number:
    # Python's round computes 10 ** digits, which takes unbounded time and memory for many digits.
    if abs(digits) > MAX_DIGITS:
        raise ValueError(f"round() supports at most {MAX_DIGITS} digits")
    return round(value, digits) if digits else round(value)  # type: ignore[arg-type]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "round": _rounded,
    "ceil": math.ceil,
    "floor": math.floor,
    "sqrt": math.sqrt,
    "log2": math.log2,
}
# The function for the length of an axis of the layer's input: size(1), size(-1).
SIZE = "size"


class ExpressionError(ValueError):
    """Text that is not an expression or has no value; the message is one sentence."""


def evaluate(text: str, names: Mapping[str, Number], size: Callable[[int], int] | None = None) -> Number:
    """The value of an expression over the parameters `names`; `size` returns the length of an axis of the input.

    Raises:
        ExpressionError: The text contains more than numbers, parameters, + - * / // % **, parentheses and a few
            functions, or its value is undefined or out of bounds.
    """
    try:
        value = _value(_tree(text), names, size)
    except (ZeroDivisionError, OverflowError, ArithmeticError) as error:
        raise ExpressionError(f"{text[:60]!r} cannot be evaluated: {error}") from None
    return value


def names_in(text: str) -> frozenset[str]:
    """The parameters that an expression reads.

    Raises:
        ExpressionError: The text is not an expression.
    """
    functions = {*FUNCTIONS, SIZE}
    # A function is an ast.Name as well, in the `func` of its call.
    return frozenset(node.id for node in ast.walk(_tree(text)) if isinstance(node, ast.Name)) - functions


@lru_cache(maxsize=4_096)
def _tree(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression can have at most {MAX_LENGTH} characters, received {len(text)}")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"{text[:60]!r} is neither a number nor an expression such as width * 4") from None


def _value(node: ast.expr, names: Mapping[str, Number], size: Callable[[int], int] | None) -> Number:
    # The exact type, because True is an instance of int
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _bounded(node.value)
    if isinstance(node, ast.Name):
        if node.id not in names:
            listed = ", ".join(names) or "none yet"
            raise ExpressionError(f"{node.id[:60]!r} is not a parameter of this network; it has {listed}")
        return names[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _value(node.operand, names, size)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left, names, size), _value(node.right, names, size)
        # Checked before the operation: Python would compute 9 ** 9 ** 9 exactly and not return.
        if isinstance(node.op, ast.Pow) and abs(right) > MAX_POWER:
            raise ExpressionError(f"the exponent {right} is greater than the maximum of {MAX_POWER}")
        return _bounded(_OPERATORS[type(node.op)](left, right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        values = [_value(value, names, size) for value in node.args]
        if node.func.id == SIZE and size is not None and len(values) == 1 and isinstance(values[0], int):
            try:
                return size(values[0])
            except (ValueError, IndexError) as error:
                raise ExpressionError(f"{ast.unparse(node)[:60]!r} cannot be evaluated: {error}") from None
        if node.func.id in FUNCTIONS and values:
            try:
                return _bounded(FUNCTIONS[node.func.id](*values))
            except (TypeError, ValueError) as error:
                raise ExpressionError(f"{ast.unparse(node)[:60]!r} cannot be evaluated: {error}") from None
    raise ExpressionError(
        f"{ast.unparse(node)[:60]!r} is not allowed; use numbers, parameters, + - * / // % **, brackets, "
        f"{SIZE}(axis) and {', '.join(FUNCTIONS)}"
    )


def _bounded(value: Any) -> Number:
    # A power of a negative number can be complex.
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > MAX_VALUE:
        raise ExpressionError(f"the value {str(value)[:40]} is out of bounds")
    number: Number = value
    return number
