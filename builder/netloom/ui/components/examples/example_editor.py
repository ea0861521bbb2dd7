"""Forms that edit one raw row: its columns, text, images and series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import escape
from netloom.explain.core.parts.axes import Axes, axes_of
from netloom.explain.robustness.what_if import background, pixels, raw_picture
from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.column_encoder import ColumnEncoder
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.text_fields import token_encoder
from netloom.modalities.fields.modality import Editor
from netloom.modalities.fields.registry import modality_of
from netloom.ui.components.examples.custom_example import typed
from netloom.ui.components.examples.region_painter import paint
from netloom.ui.components.page_state import forget_below
from netloom.ui.components.state import ExampleState, Part
from netloom.ui.components.widgets import value_editor

if TYPE_CHECKING:
    from netloom.data import Prepared

FIRST, A_ROW = 8, 2
MAX_WORDS = 60


def edited(data: Prepared, raw: Mapping[str, Any], key: str, weights: Mapping[str, float]) -> RawRow:
    """Draw the form of a raw row, and return the edited row.

    Args:
        key: The name of the form on the page.
        weights: The importance of columns; the most important ones come first.
    """
    row, several, axes = dict(raw), len(data.fields) > 1, axes_of(data)
    for field in data.fields:
        edit_key = Part.EDIT.within(key, field.name)
        editor = modality_of(field).editor
        if several and editor not in (Editor.COLUMNS, Editor.NONE):  # columns have names of their own
            st.markdown(f"**{escape(field.name)}**")
        if editor is Editor.COLUMNS:
            row |= _columns(field, raw, edit_key, weights)
        elif editor is Editor.IMAGE:
            row |= _picture(data, field, raw, edit_key)
        elif editor is Editor.SERIES:
            row |= _series(field, raw, edit_key, axes.get(field.name, Axes()))
        elif editor is Editor.TEXT:
            row |= _text(field, raw, edit_key)
    return row


def forget(key: str) -> None:
    """Reset the form."""
    forget_below(key)
    ExampleState.current().forget(key)


def _columns(
    field: FieldEncoder[Any], raw: Mapping[str, Any], key: str, weights: Mapping[str, float]
) -> dict[str, Any]:
    """Draw number inputs and choices, two in a row; the less important ones are in an expander."""
    columns: dict[str, ColumnEncoder] = {}
    for column in field.columns:
        name = column.name if column.name in raw else column.date_column or column.name
        # A date is encoded as several columns, but edited as one.
        columns.setdefault(name, column)
    order = sorted(columns, key=lambda name: -abs(weights.get(name, 0.0)))
    values: dict[str, Any] = {}
    for names, container in ((order[:FIRST], st.container()), (order[FIRST:], None)):
        if not names:
            continue
        with container or st.expander(f"{len(names)} more columns"):
            for start in range(0, len(names), A_ROW):
                for box, name in zip(st.columns(A_ROW), names[start : start + A_ROW], strict=False):
                    with box:
                        values[name] = value_editor(columns[name], name, raw.get(name), f"{key} {name}")
    return values


def _text(field: FieldEncoder[Any], raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Draw a text input, and a choice of words to leave out."""
    name = field.name if field.name in raw else field.source_column or field.name
    text = typed(raw.get(name), Part.TEXT.within(key))
    encoder = token_encoder(field)
    words = encoder.readable(text)
    if not 1 < len(words) <= MAX_WORDS:
        return {name: text}
    left_out = st.pills(
        "Leave out",
        range(len(words)),
        selection_mode="multi",
        format_func=lambda index: escape(words[index]) or "␣",
        # Another text has other words, so it needs another widget
        key=Part.LEFT_OUT.within(key, hash(str(text))),
        wrap=True,
    )
    if not left_out:
        return {name: text}
    remaining = [word for index, word in enumerate(words) if index not in set(left_out)]
    return {name: remaining if isinstance(text, list) else encoder.joint.join(remaining)}


def _picture(data: Prepared, field: FieldEncoder[Any], raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    name = field.name
    picture = pixels(data, name, raw)
    changed = paint(picture, background(data, name), key)
    return {} if changed is picture else {name: raw_picture(data, name, changed)}


def _series(field: FieldEncoder[Any], raw: Mapping[str, Any], key: str, axes: Axes) -> dict[str, Any]:
    """Draw edits of a range of steps or nodes: shift, multiply or flatten; they accumulate."""
    name = field.name
    steps, width = field.raw_shape
    series = np.asarray(raw[name], dtype=np.float64).reshape(steps, width).copy()
    edits = ExampleState.current().edits[key]
    usual = min(steps - steps // 4, steps - 1), steps - 1
    first, last = st.slider(f"{axes.down}s".capitalize(), 0, steps - 1, usual, key=Part.STEPS.within(key))
    if axes.rate:
        st.caption(f"{first / axes.rate:.3g} to {(last + 1) / axes.rate:.3g} seconds")
    channel, named = 0, axes.names(width)
    if width > 1:
        channel = int(
            st.selectbox(
                axes.across.capitalize(), range(width), format_func=named.__getitem__, key=Part.CHANNEL.within(key)
            )
        )
    left, right = st.columns(2, vertical_alignment="bottom")
    kind = left.selectbox("Change", ["Shift by", "Multiply by", "Flatten"], key=Part.KIND.within(key))
    spread = float(np.std(series)) or 1.0
    amount = {"Shift by": float(f"{spread:.2g}"), "Multiply by": 2.0, "Flatten": 0.0}[kind]
    by = right.number_input(
        "Amount", value=amount, key=Part.AMOUNT.within(key, kind), disabled=kind == "Flatten", format="%.6g"
    )
    with st.container(horizontal=True):
        if st.button(f"Change these {axes.down}s", key=Part.CHANGE.within(key), type="primary"):
            edits.append((first, last + 1, channel, kind, float(by)))
        if st.button("Undo", key=Part.UNDO.within(key), disabled=not edits) and edits:
            edits.pop()
    for start, end, across, operation, size in edits:
        part = series[start:end, across]
        series[start:end, across] = {"Shift by": part + size, "Multiply by": part * size}.get(operation, part.mean())
    return {name: series} if edits else {}
