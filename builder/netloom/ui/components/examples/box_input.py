"""The objects of an image, which people draw as boxes on it or type, one in each line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.errors import DataError
from netloom.core.text import escape
from netloom.data.boxes import ImageObject, predicted_objects
from netloom.data.images import channels_last
from netloom.explain.plots.object_shapes import with_objects
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.components.page_state import has_value, set_value, value_of
from netloom.ui.components.state import Part

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.tasks.true_labels import BoxedLabel

HEIGHT = 300
TYPED_HEIGHT = 110
MIN_SIDE = 0.005  # of a drawn box; a click without a movement draws none


def box_input(
    label: BoxedLabel,
    key: str,
    start: Any,
    picture: np.ndarray,
    *,
    title: str,
    on_change: Callable[[], None] | None = None,
) -> list[dict[str, Any]] | None:
    """Draw the input of the objects in an image, and return them; None if what is typed is not a list of objects.

    Args:
        start: The objects that are corrected, such as the prediction; None for no objects.
        picture: The image of the row (C, H, W), with values from 0 to 1.
    """
    if not has_value(key):
        set_value(key, label.text(start or []))
    typed = value_of(key)
    objects, problem = _parsed(label, typed)
    names, key_of_name = label.names, Part.COLOR.within(key)
    name = st.pills("Draw a box around", names, default=names[0], required=True, format_func=escape, key=key_of_name)
    # Another key after each change of the objects, so that a box that became an object is not selected any more
    chart_key = Part.CANVAS.within(key, typed)
    st.plotly_chart(
        _chart(picture, predicted_objects(objects or [], label.names)),
        width="stretch",
        key=chart_key,
        on_select=partial(_add, label, key, typed, chart_key, str(name), picture.shape[1:], on_change),
        selection_mode="box",
        config={"displayModeBar": False, "scrollZoom": False},
    )
    st.caption("Drag on the image to add a box; delete its line to remove it.")
    st.text_area(title, key=key, on_change=on_change, help=label.hint, height=TYPED_HEIGHT)
    if problem:
        st.caption(f":material/error: {escape(problem)}")
    return objects


def objects_of(label: BoxedLabel, key: str) -> list[dict[str, Any]] | None:
    """Return the objects in the input of this key, for callbacks; None if it has none."""
    return _parsed(label, value_of(key, ""))[0]


def _parsed(label: BoxedLabel, text: str) -> tuple[list[dict[str, Any]] | None, str]:
    """Return the typed objects, None if they are not valid, and why not."""
    if not text.strip():
        return None, ""
    try:
        return label.parse(text), ""
    except DataError as error:
        return None, str(error)


def _add(
    label: BoxedLabel,
    key: str,
    typed: str,
    chart_key: str,
    name: str,
    size: tuple[int, int],
    on_change: Callable[[], None] | None,
) -> None:
    """Add the boxes that were drawn on the chart to the typed objects."""
    boxes = (value_of(chart_key) or {}).get("selection", {}).get("box", [])
    sides = [_sides(box["x"], box["y"], size) for box in boxes]
    drawn = [{"class": name, "box": side} for side in sides if side]
    objects, problem = _parsed(label, typed)
    if not drawn or problem:  # what was typed is not lost
        return
    set_value(key, label.text([*(objects or []), *drawn]))
    if on_change is not None:
        on_change()


def _sides(x: Sequence[float], y: Sequence[float], size: tuple[int, int]) -> list[float]:
    """Return a box that was drawn on the chart of an image of `size` (H, W) as x_min, y_min, x_max, y_max within the
    image; [] if it is too small."""
    height, width = size
    x_min, x_max = (min(max((value + 0.5) / width, 0.0), 1.0) for value in sorted(x))
    y_min, y_max = (min(max((value + 0.5) / height, 0.0), 1.0) for value in sorted(y))
    return [x_min, y_min, x_max, y_max] if min(x_max - x_min, y_max - y_min) >= MIN_SIDE else []


def _chart(picture: np.ndarray, objects: Sequence[ImageObject]) -> go.Figure:
    """Return the image (C, H, W) with the boxes of its objects, on which boxes can be drawn. Whole numbers on its axes
    are the centers of pixels."""
    import plotly.graph_objects as go

    height, width = picture.shape[1:]
    left, right, top, bottom = -0.5, width - 0.5, -0.5, height - 0.5
    # Nothing can be selected in a chart without points
    corners = go.Scatter(x=[left, right], y=[top, bottom], mode="markers", marker={"opacity": 0}, hoverinfo="skip")
    figure = with_objects(go.Figure(corners), (height, width), objects)
    figure.add_layout_image(
        {"x": left, "y": top, "sizex": width, "sizey": height, "xref": "x", "yref": "y", "layer": "below"},
        source=enlarged(channels_last(picture)),
        sizing="stretch",
    )
    axis = {"visible": False, "fixedrange": True, "constrain": "domain"}
    figure.update_xaxes(axis, range=[left, right])
    figure.update_yaxes(axis, range=[bottom, top], scaleanchor="x")
    return figure.update_layout(
        height=HEIGHT, margin={"l": 0, "r": 0, "t": 0, "b": 0}, dragmode="select", showlegend=False
    )
