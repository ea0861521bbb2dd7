"""The input of the true label of a row, and the row in short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.errors import DataError
from netloom.core.text import cut, escape, number
from netloom.modalities.encoding.cells import EncodeError
from netloom.ui.components.examples.box_input import box_input, objects_of
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.components.examples.mask_painter import mask_input, mask_of
from netloom.ui.components.page_state import value_of

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.tasks.true_labels import TrueLabel

LETTERS = 140
PICTURE_WIDTH = 72
TYPED_HEIGHT = 80


def label_input(
    true_label: TrueLabel,
    key: str,
    value: Any = None,
    *,
    title: str = "Label",
    check: Callable[[Any], None] | None = None,
    on_change: Callable[[], None] | None = None,
    picture: np.ndarray | None = None,
) -> Any:
    """Draw the input of a label and return its value; None if nothing is chosen, or what is typed is not a label.

    Args:
        value: The label that is chosen at first.
        check: Raises a DataError for a label that does not fit its row.
        picture: The image of the row (C, H, W) with values from 0 to 1, on which a mask is painted or boxes are drawn.
    """
    if true_label.painted is not None:
        mask = true_label.painted
        if picture is None:
            picture = np.zeros((1, *mask.shape))
        return mask_input(mask, key, value, picture, title=title, on_change=on_change)
    if true_label.boxed is not None:
        if picture is None:
            picture = np.zeros((1, 1, 1))
        return box_input(true_label.boxed, key, value, picture, title=title, on_change=on_change)
    if true_label.hint:
        start = true_label.text(value) if value is not None else ""
        text = st.text_area(title, start, key=key, on_change=on_change, help=true_label.hint, height=TYPED_HEIGHT)
        label, problem = _parsed(true_label, text, check)
        if problem:
            st.caption(f":material/error: {escape(problem)}")
        return label
    schema = true_label.schema
    if "enum" in schema:
        names = list(schema["enum"])
        index = names.index(value) if value in names else None
        return st.selectbox(title, names, index, key=key, on_change=on_change, placeholder="Choose the label")
    if "items" in schema:
        names = list(schema["items"]["enum"])
        chosen = [name for name in value or () if name in names]
        return st.multiselect(title, names, chosen, key=key, on_change=on_change, placeholder="Choose all that apply")
    number_start = float(value) if isinstance(value, (int, float)) else None
    return st.number_input(title, value=number_start, key=key, on_change=on_change, format="%0.6g")


def label_of(true_label: TrueLabel, key: str, check: Callable[[Any], None] | None = None) -> Any:
    """Return the label in the input of this key, for callbacks; None if there is none."""
    if true_label.painted is not None:
        return mask_of(true_label.painted, key)
    if true_label.boxed is not None:
        return objects_of(true_label.boxed, key)
    value = value_of(key)
    return _parsed(true_label, value or "", check)[0] if true_label.hint else value


def _parsed(true_label: TrueLabel, text: str, check: Callable[[Any], None] | None) -> tuple[Any, str]:
    """Return the label that a text stands for, None if it is not one, and why not."""
    if not text.strip():
        return None, ""
    try:
        label = true_label.parse(text)
        if check is not None:
            check(label)
    except DataError as error:
        return None, str(error)
    return label, ""


def picture_of(data: Prepared, row: Mapping[str, Any]) -> np.ndarray | None:
    """Return the image of a raw row (C, H, W) with values from 0 to 1; None if it has none."""
    if not (len(data.fields) == 1 and data.schema.inputs[0].is_image):
        return None
    try:
        image = np.asarray(data.fields[0].shown(dict(row))["image"], dtype=np.float64).clip(0, 1)
    except (EncodeError, ValueError, TypeError, KeyError):
        return None
    return image[None] if image.ndim == 2 else np.moveaxis(image, 2, 0)


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
