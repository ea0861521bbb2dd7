"""The boxes of objects in a Plotly figure of their image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from netloom.core.text import cut, without_markup
from netloom.data.boxes import ImageObject
from netloom.explain.plots.class_colors import object_color, text_color

if TYPE_CHECKING:
    import plotly.graph_objects as go

_MAX_LETTERS = 24
# The upper share of an image in which the label of a box is below its upper side.
_TOP = 0.12


def with_objects(
    figure: go.Figure,
    size: tuple[int, int],
    predicted: Sequence[ImageObject],
    true: Sequence[ImageObject] = (),
    *,
    is_labeled: bool = True,
) -> go.Figure:
    """Add the boxes of predicted objects to the figure of an image of `size` (H, W), with their names if it
    `is_labeled`, and dashed those of true ones."""
    marked = [(item, "dash") for item in true] + [(item, "solid") for item in predicted]
    shapes = [_box(item, size, dash) for item, dash in marked]
    labels = [_label(item, size) for item in predicted] if is_labeled else []
    return figure.update_layout(shapes=shapes, annotations=labels)


def _box(item: ImageObject, size: tuple[int, int], dash: str) -> dict[str, Any]:
    x_min, y_min, x_max, y_max = _in_pixels(item, size)
    line = {"color": object_color(item.number), "width": 2.5, "dash": dash}
    return {"type": "rect", "x0": x_min, "y0": y_min, "x1": x_max, "y1": y_max, "line": line}


def _label(item: ImageObject, size: tuple[int, int]) -> dict[str, Any]:
    """Return the name and the score above a box, or below its upper side at the top of the image; at its right side if
    it is in the right half."""
    x_min, y_min, x_max, _ = _in_pixels(item, size)
    is_right, is_top = item.box[0] + item.box[2] > 1, item.box[1] < _TOP
    color = object_color(item.number)
    score = "" if item.score is None else f" {item.score:.0%}"
    return {
        "x": x_max if is_right else x_min,
        "y": y_min,
        "xanchor": "right" if is_right else "left",
        "yanchor": "top" if is_top else "bottom",
        # Plotly interprets HTML tags in texts.
        "text": without_markup(f"{cut(item.name, _MAX_LETTERS)}{score}"),
        "showarrow": False,
        "borderpad": 1,
        "bgcolor": color,
        "font": {"size": 11, "color": text_color(color)},
    }


def _in_pixels(item: ImageObject, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the sides of a box in coordinates whose whole numbers are the centers of pixels."""
    (height, width), (x_min, y_min, x_max, y_max) = size, item.box
    return x_min * width - 0.5, y_min * height - 0.5, x_max * width - 0.5, y_max * height - 0.5
