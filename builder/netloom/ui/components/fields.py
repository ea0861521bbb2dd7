"""The widget of a layer parameter: its value, its parser and its drawing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from netloom.document.expression import ExpressionError, Number, names_in
from netloom.layers import FormField
from netloom.ui.components.forms import Binding

Draw = Callable[[Binding], Any]
NUMBERS = ("int", "float", "ints")
LARGEST_INTEGER = (1 << 53) - 1  # Streamlit refuses larger ones, as JavaScript's numbers do not hold them exactly
EXPECTED = {"ints": "whole numbers separated by commas", "int": "a whole number", "float": "a number"}


def editor(field: FormField, value: Any, names: tuple[str, ...]) -> tuple[Any, Callable[[Any], Any], Draw]:
    """Return the value that a widget shows, the function that parses its value, and the function that draws it.

    `names` are the parameters of the network; if it has any, each number can be an expression with them.
    """
    label, text = field.label, field.description
    if field.kind == "bool":
        return bool(value), bool, lambda binding: st.toggle(label, bool(value), help=text, **binding)
    if field.kind == "choice":
        options = list(field.choices)
        current = value if value in options else options[0]
        return (
            current,
            str,
            lambda binding: st.selectbox(label, options, index=options.index(current), help=text, **binding),
        )
    if field.kind == "int" and type(value) is int and not field.optional and not names and _within(field, value):
        low, high = map(int, _bounds(field))
        return value, int, lambda binding: st.number_input(label, low, high, value, step=1, help=text, **binding)
    current = write(value)
    draw = partial(st.text_area, height=260) if "\n" in current else st.text_input
    return (
        current,
        lambda typed: read_text(field, typed),
        lambda binding: draw(label, current, help=_help(field, names), **binding),
    )


def write(value: Any) -> str:
    """Return a value as the text of a text input."""
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def read_text(field: FormField, typed: str) -> Any:
    """Return the typed value of a field. An expression instead of a number remains text, which validation evaluates.

    Raises:
        ValueError: the text is invalid for this field; the message is a sentence.
    """
    typed = typed.strip()
    if not typed and field.optional:
        return None
    if field.kind not in NUMBERS:
        return typed
    try:
        if field.kind == "ints":
            return [read_number(part, is_integer=True) for part in _parts(typed.replace("×", ","))]
        return read_number(typed, is_integer=field.kind == "int")
    except ValueError:
        raise ValueError(f"{field.label} must be {EXPECTED[field.kind]}; received {typed[:40]!r}.") from None


def read_number(typed: str, *, is_integer: bool = False) -> Number | str:
    """Return a typed number, or a typed expression without changes.

    Raises:
        ValueError: the text is neither.
    """
    number = _as(int, typed.replace(" ", ""))
    if number is not None:
        return number
    number = _as(float, typed)
    if number is None:
        return _expression(typed)
    if is_integer:
        raise ValueError(f"{typed[:40]!r} is not a whole number.")
    return number


def _as(kind: type[Number], typed: str) -> Number | None:
    try:
        return kind(typed)
    except ValueError:
        return None


def _expression(typed: str) -> str:
    try:
        names_in(typed)
    except ExpressionError as error:
        raise ValueError(f"{error}.") from None
    return typed.strip()


def _parts(typed: str) -> list[str]:
    """Return the parts between commas, except commas in the parentheses of a function; drops outer parentheses."""
    parts, depth = [""], 0
    in_parentheses = typed.startswith("(") and typed.endswith(")") and "(" not in typed[1:]
    for letter in typed[1:-1] if in_parentheses else typed:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _bounds(field: FormField) -> tuple[float, float]:
    """Return the least and the greatest number of a number input."""
    low = -LARGEST_INTEGER if field.minimum is None else field.minimum
    return low, LARGEST_INTEGER if field.maximum is None else min(field.maximum, LARGEST_INTEGER)


def _within(field: FormField, value: int) -> bool:
    low, high = _bounds(field)
    return low <= value <= high


def _help(field: FormField, names: tuple[str, ...]) -> str:
    low, high = field.minimum, field.maximum
    bounds = f" From {low:g} to {high:g}." if low is not None and high is not None and field.kind != "ints" else ""
    maybe = f" Also accepts an expression with {', '.join(names)}." if names and field.kind in NUMBERS else ""
    return f"{field.description}.{bounds}{' May be empty.' if field.optional else ''}{maybe}"
