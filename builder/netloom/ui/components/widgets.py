"""Draws the widgets of `netloom.modalities.widgets`."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import streamlit as st

from netloom.core.text import cut, escape
from netloom.modalities.columns.registry import kind_of
from netloom.modalities.encoding.column_encoder import ColumnEncoder
from netloom.modalities.widgets import MultiSelect, NumberInput, Select, TextInput, Toggle, Widget


def value_editor(column: ColumnEncoder, name: str, value: Any, key: str) -> Any:
    """Draw the widget for the value of a fitted column, and return its value. `name` is its key in a raw row."""
    widget = kind_of(column).widget(column, name, value)
    return widget.result(draw(widget, escape(cut(name, 60)), key=key))


@singledispatch
def draw(widget: Widget, label: str, container: Any = st, **arguments: Any) -> Any:
    """Draw a widget in a container of the page, and return its value."""
    raise TypeError(f"There is no way to draw {type(widget).__name__}.")


@draw.register
def _(widget: TextInput, label: str, container: Any = st, **arguments: Any) -> Any:
    return container.text_input(label, widget.value, **arguments)


@draw.register
def _(widget: NumberInput, label: str, container: Any = st, **arguments: Any) -> Any:
    is_integer = isinstance(widget.step, int)
    return container.number_input(
        label,
        widget.low,
        widget.high,
        widget.value,
        step=widget.step,
        format=None if is_integer else "%.6g",
        **arguments,
    )


@draw.register
def _(widget: Select, label: str, container: Any = st, **arguments: Any) -> Any:
    options = list(widget.options)
    return container.selectbox(label, options, options.index(widget.value), **arguments)


@draw.register
def _(widget: MultiSelect, label: str, container: Any = st, **arguments: Any) -> Any:
    return container.multiselect(label, list(widget.options), list(widget.value), **arguments)


@draw.register
def _(widget: Toggle, label: str, container: Any = st, **arguments: Any) -> Any:
    return container.toggle(label, widget.value, **arguments)
