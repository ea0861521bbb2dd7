"""A mask that people paint over the image of its row, or upload as an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.errors import DataError
from netloom.core.text import escape
from netloom.modalities.encoding.tags import IGNORE
from netloom.ui.components.errors import show_error
from netloom.ui.components.examples.example_panels import legend, painted
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.components.examples.region_painter import cell, stroke_editor
from netloom.ui.components.state import ExampleState, Part, Stroke

if TYPE_CHECKING:
    from netloom.tasks.true_labels import PaintedLabel

OPACITY = 0.6  # of the classes over the image
VOID = "no class (void)"  # paints pixels that count neither in the loss nor in metrics
FILES = ["png", "bmp", "gif", "tif", "tiff"]
MAX_FILE_MIB = 20
THUMBNAIL = 120  # pixels
UPLOAD_HELP = (
    "A PNG with the values of the masks of the data, with the class number of each pixel, or with one gray value or "
    "color for each class, in ascending order. Pixels of the value 255 beside class numbers have no class. Another "
    "size is scaled by nearest neighbor."
)


def mask_input(
    label: PaintedLabel,
    key: str,
    start: Any,
    picture: np.ndarray,
    *,
    title: str,
    on_change: Callable[[], None] | None = None,
) -> list[list[int]] | None:
    """Draw the input of a mask, and return its rows of class numbers; None if nothing was painted or uploaded.

    Args:
        start: The mask that is corrected, such as the prediction; None for the first class everywhere.
        picture: The image of the row (C, H, W), with values from 0 to 1.
    """
    st.markdown(f"**{escape(title)}**")
    state = ExampleState.current()
    if key not in state.masks:
        state.masks[key] = _grid(label, start)
    painter = st.container()
    _upload(label, key, on_change)  # first, because it replaces what was painted
    base, size = state.masks[key], cell(label.shape)

    def shown(strokes: Sequence[Stroke]) -> np.ndarray:
        grid = filled(label, base, strokes)
        tones = np.moveaxis(painted(grid), 2, 0)
        opacity = np.where(grid != 0, OPACITY, 0.0)  # the first class is the background
        pixels: np.ndarray = np.broadcast_to(picture, tones.shape) * (1 - opacity) + tones * opacity
        return pixels

    with painter:
        # People add objects to the first class, the background, more often than they remove them
        default = label.names[min(1, len(label.names) - 1)]
        strokes = stroke_editor(
            key, list(_values(label)), shown, size, default=default, noun="class", on_stroke=on_change
        )
        mask = filled(label, base, strokes)
        legend(label.names, has_void=bool((mask < 0).any()))
    is_changed = bool(strokes) or key in state.uploaded_masks
    return mask.tolist() if is_changed else None


def mask_of(label: PaintedLabel, key: str) -> list[list[int]] | None:
    """Return the mask in the input of this key, for callbacks; None if there is none."""
    state = ExampleState.current()
    if key not in state.masks:
        return None
    rows: list[list[int]] = filled(label, state.masks[key], state.strokes[key]).tolist()
    return rows


def mask_thumbnail(label: Any, title: str) -> None:
    """Draw a mask as a small picture."""
    st.image(enlarged(painted(np.asarray(label))), width=THUMBNAIL, alt=title)


def filled(label: PaintedLabel, base: np.ndarray, strokes: Sequence[Stroke]) -> np.ndarray:
    """Return a mask (H, W) after all strokes, which are pairs of the covered cells (row, column) and a class."""
    # A mask of few classes can be unsigned, which does not hold the value of void pixels
    grid, size, values = base.astype(np.int64), cell(label.shape), _values(label)
    for cells, name in strokes:
        for row, column in cells:
            grid[row * size : (row + 1) * size, column * size : (column + 1) * size] = values[name]
    return grid


def _values(label: PaintedLabel) -> dict[str, int]:
    """Return the value that each name to paint with gives to a pixel."""
    classes = {name: number for number, name in enumerate(label.names)}
    return {**classes, VOID: IGNORE} | classes  # a class of the same name stays a class


def _grid(label: PaintedLabel, start: Any) -> np.ndarray:
    try:
        return np.array(label.check(start))
    except DataError:
        return np.zeros(label.shape, dtype=np.int64)


def _upload(label: PaintedLabel, key: str, on_change: Callable[[], None] | None) -> None:
    """Draw the upload of a mask, which replaces the painted one."""
    file = st.file_uploader(
        "Mask image", type=FILES, key=Part.FILE.within(key), max_upload_size=MAX_FILE_MIB, help=UPLOAD_HELP
    )
    state = ExampleState.current()
    if file is None or state.uploaded_masks.get(key) == file.file_id:
        return
    try:
        state.masks[key] = np.array(label.read_image(file.getvalue(), file.name))
    except DataError as error:
        show_error(error)
        return
    state.uploaded_masks[key] = file.file_id
    state.strokes.pop(key, None)
    if on_change is not None:
        on_change()
