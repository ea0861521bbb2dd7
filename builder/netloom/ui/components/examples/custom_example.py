"""A custom example: a row of the data, edited by typing, drawing or uploading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import escape
from netloom.data import DataError, Prepared
from netloom.data.images import FORMATS
from netloom.explain.core.parts.axes import Axes, axes_of
from netloom.modalities.columns.date import with_dates
from netloom.modalities.encoding.cells import RawRow, as_text
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.image_field import ImageEncoder, image_encoder, sized
from netloom.modalities.fields.modality import Editor
from netloom.modalities.fields.registry import modality_of
from netloom.sandbox import read_picture, read_sound
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.components.state import ExampleState, Key, Part, ReadUpload
from netloom.ui.components.widgets import value_editor

if TYPE_CHECKING:
    from netloom.ui.components.streamlit_internals import UploadedFile

# The largest side of an image that can be drawn, and the largest number of steps of a series that can be typed.
DRAWN, TYPED = 64, 4096
HEIGHT = 360
MAX_UPLOAD_MIB = 50  # of one picture or one sound

_HTML = """
<canvas data-part="canvas" aria-label="Image to draw on" role="img"></canvas>
<div class="tools">
  <input data-part="hue" type="color" value="#ffffff" aria-label="Color">
  <button data-part="erase" type="button" aria-pressed="false">Erase</button>
  <button data-part="clear" type="button">Clear</button>
</div>
"""
_CSS = """
canvas { display: block; max-width: 100%; image-rendering: pixelated; touch-action: none; cursor: crosshair;
  border: 1px solid var(--st-border-color); border-radius: 8px; }
.tools { display: flex; gap: 0.4rem; align-items: center; margin-top: 0.5rem; }
button { font: 0.85rem var(--st-font); color: var(--st-text-color); background: none; cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: 8px; padding: 0.25rem 0.7rem; }
button:hover, button[aria-pressed=true] { border-color: var(--st-primary-color); color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); }
"""


def custom_example(data: Prepared, start: Mapping[str, Any], name: str) -> RawRow:
    """Draw the widgets that edit the raw row `start`, and return the edited row. `name` identifies the widgets.

    Raises:
        DataError: an uploaded file cannot be read.
    """
    start = with_dates((column for field in data.fields for column in field.columns), start)
    row = dict(start)
    axes = axes_of(data)
    for spec, field in zip(data.schema.inputs, data.fields, strict=True):
        if len(data.fields) > 1:
            st.markdown(f"**{escape(spec.name)}**")
        key, editor = f"own {name} {field.name}", modality_of(field).editor
        if editor is Editor.IMAGE:
            row[field.name] = picture_input(image_encoder(field), start[field.name], key)
        elif field.sample_rate:
            row[field.name] = sound_input(field, start[field.name], key)
        elif editor is Editor.SERIES:
            row[field.name] = _series(field, start[field.name], key, spec.columns, axes[spec.name])
        elif editor is Editor.COLUMNS:
            row |= _columns(field, start, key)
        elif editor is Editor.NONE:
            st.caption("The network generates this input itself.")
        else:
            column = field.name if field.name in start else field.source_column or field.name
            row[column] = typed(start[column], key)
    return row


def typed(before: Any, key: str) -> Any:
    """Draw a text area, and return the edited text; a list of words is edited with spaces and returned as a list."""
    before_text = str(as_text(before) or "")
    about = "Separate words with spaces; the dataset is tokenized into words." if isinstance(before, list) else None
    text = st.text_area("Text", before_text, key=key, height=115, help=about)
    # An unedited list is returned as it was, because its words could contain spaces.
    return text if not isinstance(before, list) else before if text == before_text else text.split()


def picture_input(field: ImageEncoder, start: Any, key: str) -> np.ndarray:
    """Return an image (C, H, W) in the units of the data: uploaded, or drawn on that of the row."""
    channels, height, width = field.shape
    small = max(height, width) <= DRAWN
    sources = ["Draw", "Upload"] if small else ["Upload"]
    source = (
        st.segmented_control("Image", sources, default=sources[0], required=True, key=Part.SOURCE.within(key))
        if small
        else "Upload"
    )
    start_values = sized(
        np.asarray(start, dtype=np.float32).reshape(-1, *np.shape(start)[-2:]), channels, height, width
    )
    if source == "Draw":
        values = np.clip(start_values * field.unit_scale, 0, 1).transpose(1, 2, 0)
        drawn = _drawn(values, key)
        return _raw(drawn, field)
    kinds = [kind.lower() for kind in (*FORMATS, "jpg")]
    caption = f"The image is resized to {width} × {height} pixels."
    file = st.file_uploader(
        "Image file", type=kinds, key=Part.FILE.within(key), help=caption, max_upload_size=MAX_UPLOAD_MIB
    )
    if file is None:
        st.caption("The image of the row is used until you upload one.")
        return start_values
    side, shape = field.file_side, field.file_shape
    pixels = _read(file, f"{key} {side} {shape}", lambda content, called: read_picture(content, called, side, shape))
    value: np.ndarray = modality_of(field).raw_value(field, pixels)
    shown = (value * field.unit_scale).transpose(1, 2, 0)
    st.image(enlarged(shown.squeeze()), width=160, alt="Image at the size of the input")
    return value


def _raw(values: np.ndarray, field: ImageEncoder) -> np.ndarray:
    """Return an image (H, W, C) with values from 0 to 1 as (C, H, W) in the units of the data."""
    return np.asarray(values.transpose(2, 0, 1) / field.unit_scale, dtype=np.float32)


def _drawn(values: np.ndarray, key: str) -> np.ndarray:
    """Draw the drawing canvas of an image (H, W, C) with values from 0 to 1, and return the edited image."""
    height, width, channels = values.shape
    data = {"id": key, "width": width, "height": height, "channels": channels, "values": values.ravel().tolist()}
    drawn = _component()(
        key=Part.DRAWING.within(key), data=data, default={"pixels": None}, on_pixels_change=lambda: None
    ).pixels
    # The browser may still send the drawing of a previous image
    if drawn is None or len(drawn) != values.size:
        return values
    return np.asarray(drawn, dtype=np.float32).reshape(values.shape)


def _series(field: FieldEncoder[Any], start: Any, key: str, columns: tuple[str, ...], axes: Axes) -> Any:
    """Draw a table that edits a series (T, D) or a matrix of a graph, with a line per step or node."""
    import pandas as pd

    values = np.asarray(start, dtype=np.float64).reshape(field.shape)
    if len(values) > TYPED:
        st.caption(
            f"The series has more than {TYPED:,} steps and cannot be edited here; the series of the row is used."
        )
        return values
    table = pd.DataFrame(values, columns=axes.names(values.shape[1], columns)).rename_axis(axes.down)
    edited = st.data_editor(table, height=HEIGHT, key=key)
    st.caption("Edit a cell, or paste a column from a spreadsheet.")
    return edited.to_numpy(dtype=np.float64)


def sound_input(field: FieldEncoder[Any], start: Any, key: str) -> np.ndarray:
    """Return a sound (L, 1): that of the row, an upload or a recording.

    Raises:
        DataError: the upload cannot be read.
    """
    rate, samples = field.sample_rate, field.raw_shape[0]
    start_values = np.asarray(start, dtype=np.float64).reshape(samples, 1)
    sources = ["From the row", "Upload", "Record"]
    source = st.segmented_control("Sound", sources, default=sources[0], required=True, key=Part.SOURCE.within(key))
    file = None
    if source == "Upload":
        file = st.file_uploader(
            "Audio file", type=["wav", "flac"], key=Part.FILE.within(key), max_upload_size=MAX_UPLOAD_MIB
        )
    elif source == "Record":
        file = st.audio_input("Recording", key=Part.RECORDING.within(key))
    if file is not None:
        sound = _read(file, key, lambda content, called: read_sound(content, called, rate, samples))
        start_values = modality_of(field).raw_value(field, sound)
    elif source != sources[0]:
        st.caption("The sound of the row is used until you upload or record one.")
    st.audio(start_values[:, 0], sample_rate=rate)
    st.caption(f"Cropped, or padded with silence, to {samples / rate:.3g} seconds.")
    return start_values


def _read(file: UploadedFile, key: str, read: Callable[[bytes, str], np.ndarray]) -> np.ndarray:
    """Return the content of an uploaded file. It is read once, not on each rerun, also if it is refused.

    Raises:
        DataError: the file cannot be read.
    """
    state = ExampleState.current()
    upload = state.upload
    if upload is None or (upload.key, upload.file_id) != (key, file.file_id):
        values, refusal = None, ""
        try:
            values = read(file.getvalue(), file.name)
        except DataError as error:
            refusal = str(error)
        upload = state.upload = ReadUpload(key, file.file_id, values, refusal)
    if upload.values is None:
        raise DataError(upload.refusal)
    return upload.values


def _columns(field: FieldEncoder[Any], start: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Draw a widget for each column of a table, and return the values."""
    values: dict[str, Any] = {}
    columns = field.columns
    tall = len(columns) > 5
    with st.container(height=HEIGHT if tall else "content", border=False, key=Key.EXAMPLE_COLUMNS.of(key)):
        for column in columns:
            # A date is encoded as several columns, but edited as one, unless it cannot be restored from them.
            name = column.name if column.name in start else column.date_column or column.name
            if name not in values:
                values[name] = value_editor(column, name, start.get(name), f"{key} {name}")
    return values


@cache
def _component() -> Any:
    # Registered when first shown, as a component cannot be registered before Streamlit runs.
    script = files("netloom.ui.components.examples").joinpath("drawing.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_drawing", html=_HTML, css=_CSS, js=script)
