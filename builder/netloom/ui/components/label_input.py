"""The input of the true label of a row, and the row in short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import cut, escape, number
from netloom.modalities.encoding.cells import EncodeError
from netloom.ui.components.image_urls import enlarged

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.tasks.true_label import TrueLabel

LETTERS = 140
PICTURE_WIDTH = 72


def label_input(
    true_label: TrueLabel,
    key: str,
    value: Any = None,
    *,
    title: str = "Label",
    on_change: Callable[[], None] | None = None,
) -> Any:
    """Draw the input of a label and return its value; None if nothing is chosen. `value` is chosen at first."""
    schema = true_label.schema
    if "enum" in schema:
        names = list(schema["enum"])
        index = names.index(value) if value in names else None
        return st.selectbox(title, names, index, key=key, on_change=on_change, placeholder="Choose the label")
    if "items" in schema:
        names = list(schema["items"]["enum"])
        chosen = [name for name in value or () if name in names]
        return st.multiselect(title, names, chosen, key=key, on_change=on_change)
    start = float(value) if isinstance(value, (int, float)) else None
    return st.number_input(title, value=start, key=key, on_change=on_change, format="%0.6g")


def row_in_short(data: Prepared, row: Mapping[str, Any]) -> None:
    """Draw a raw row on one line, or its image."""
    if len(data.fields) == 1 and data.schema.inputs[0].is_image:
        try:
            picture = np.asarray(data.fields[0].shown(dict(row))["image"], dtype=np.float64)
        except (EncodeError, ValueError, TypeError, KeyError):
            st.caption("This image does not fit the data.")
            return
        st.image(enlarged(picture.clip(0, 1)), width=PICTURE_WIDTH, alt="The image of the row")
        return
    parts = [
        f"{name}: {number(value) if isinstance(value, float) else value}" if len(row) > 1 else str(value)
        for name, value in row.items()
        if isinstance(value, (str, int, float))
    ]
    st.markdown(escape(cut(", ".join(parts) or f"{len(row)} fields", LETTERS)))
