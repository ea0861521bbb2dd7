"""An image that users paint on by clicking cells, by drawing a box or a lasso around them, or by the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import escape
from netloom.ui.components.keyboard_brush import Board, keyboard_brush
from netloom.ui.components.state import ExampleState, Part, Stroke

if TYPE_CHECKING:
    import plotly.graph_objects as go

# The largest number of cells per side; in larger images, a cell has several pixels.
MAX_CELLS = 32
HEIGHT = 340
GROUND, WHITE, BLACK = "Background", "White", "Black"
TOOLS = {"Box": "select", "Lasso": "lasso", "Click": "pan"}


def paint(picture: np.ndarray, ground: np.ndarray, key: str) -> np.ndarray:
    """Draw an image (C, H, W) with values from 0 to 1, and return it as painted; the same object without strokes.

    `ground` (C,) is the background color. Strokes are stored by `key`.
    """
    size = cell(picture.shape[1:])
    strokes = stroke_editor(
        key, [GROUND, WHITE, BLACK], lambda strokes: painted(picture, strokes, ground, size), size, default=GROUND
    )
    return painted(picture, strokes, ground, size) if strokes else picture


def stroke_editor(
    key: str,
    colors: Sequence[str],
    draw: Callable[[Sequence[Stroke]], np.ndarray],
    size: int,
    *,
    default: str,
    noun: str = "color",
    on_stroke: Callable[[], None] | None = None,
) -> list[Stroke]:
    """Draw an image on which people paint, within a fragment, and return the strokes, which are stored by `key`.

    Args:
        colors: The names of the colors.
        draw: Returns the image (C, H, W) with values from 0 to 1 after the strokes.
        size: The pixels per side of a cell.
        noun: What a color is called in the help of the keyboard.
        on_stroke: Called after a change of the strokes.
    """
    state = ExampleState.current()
    strokes = state.strokes[key]
    color_key = Part.COLOR.within(key)
    color = st.pills("Paint with", colors, default=default, required=True, format_func=escape, key=color_key)
    tool = st.segmented_control("Tool", list(TOOLS), default="Box", required=True, key=Part.TOOL.within(key))
    pixels = draw(strokes)
    board = Board(Part.BOARD.within(key), pixels.shape[1], pixels.shape[2], size)
    place_of_image = st.container(key=board.key)
    # Before the image, which has the new strokes then
    typed = keyboard_brush(Part.BRUSH.within(key), board, colors, color_key, state.brushed[key], noun=noun)
    if typed:
        strokes += typed
        if on_stroke is not None:
            on_stroke()
        pixels = draw(strokes)
    with place_of_image:
        # Each stroke makes a new widget, so that its cells do not remain selected and paint again.
        event: Any = st.plotly_chart(
            _canvas(pixels, size, TOOLS[str(tool)]),
            width="stretch",
            key=Part.CANVAS.within(key, len(strokes)),
            on_select="rerun",
            selection_mode=("points", "box", "lasso"),
            config={"displayModeBar": False, "scrollZoom": False},
            alt="Image to paint on",
        )
    touched = _touched(event, -(-pixels.shape[2] // size))
    if touched:
        strokes.append((touched, str(color)))
        if on_stroke is not None:
            on_stroke()
        st.rerun(scope="fragment")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Undo", key=Part.UNDO.within(key), disabled=not strokes):
            strokes.pop()
            if on_stroke is not None:
                on_stroke()
            st.rerun(scope="fragment")
        how = "each click paints a cell" if tool == "Click" else "draw over the cells to paint"
        st.caption(f"{how.capitalize()}{f'; a cell is {size} × {size} pixels' if size > 1 else ''}.", width="content")
    return strokes


def cell(shape: Sequence[int]) -> int:
    """Return the pixels per side of a cell, for an image (H, W)."""
    return -(-max(shape) // MAX_CELLS)


def painted(
    picture: np.ndarray, strokes: Sequence[tuple[Sequence[tuple[int, int]], str]], ground: np.ndarray, size: int
) -> np.ndarray:
    """Return an image (C, H, W) after all strokes, which are pairs of the covered cells (row, column) and a color."""
    pixels = picture.copy()
    plain = {WHITE: 1.0, BLACK: 0.0}
    for cells, color in strokes:
        tone = np.full(len(pixels), plain[color]) if color in plain else ground
        for row, column in cells:
            part = pixels[:, row * size : (row + 1) * size, column * size : (column + 1) * size]
            part[...] = tone[:, None, None]  # (C,) -> (C, 1, 1); a view, so this writes to `pixels`
    return pixels


def _touched(event: Mapping[str, Any], columns: int) -> list[tuple[int, int]]:
    """Return the selected cells (row, column); `columns` is the number of cells per row."""
    selection = event.get("selection") or {}
    positions = {point.get("point_index") for point in selection.get("points", ())}
    return sorted(divmod(int(point_index), columns) for point_index in positions if point_index is not None)


def _canvas(picture: np.ndarray, size: int, tool: str) -> go.Figure:
    """Return the image with a selectable marker in the middle of each cell."""
    import plotly.graph_objects as go

    pixels = np.clip(picture, 0, 1)
    figure = go.Figure()
    if len(pixels) == 1:
        figure.add_trace(go.Heatmap(z=pixels[0], colorscale="gray", zmin=0, zmax=1, showscale=False, hoverinfo="skip"))
    else:
        figure.add_trace(go.Image(z=(pixels.transpose(1, 2, 0) * 255).astype(np.uint8), hoverinfo="skip"))
    height, width = picture.shape[1:]
    rows, columns = np.indices((-(-height // size), -(-width // size)))
    middle = (size - 1) / 2
    cells = np.stack([rows.ravel(), columns.ravel()], axis=1)
    marks = {
        "symbol": "square",
        "size": max(6, round(0.8 * (HEIGHT - 20) / len(rows))),
        "color": "rgba(128,128,140,0.06)",
    }
    figure.add_scatter(
        x=columns.ravel() * size + middle,
        y=rows.ravel() * size + middle,
        mode="markers",
        marker=marks,
        customdata=cells,
        hovertemplate="row %{customdata[0]}, column %{customdata[1]}<extra></extra>",
        selected={"marker": {"color": "rgba(99,102,241,0.7)"}},
        unselected={"marker": {"opacity": 0.05}},
    )
    margin = {"l": 0, "r": 0, "t": 4, "b": 4}
    figure.update_layout(
        height=HEIGHT, margin=margin, dragmode=False if tool == "pan" else tool, clickmode="event+select"
    )
    figure.update_layout(showlegend=False, plot_bgcolor="rgba(0,0,0,0)")
    figure.update_xaxes(visible=False, constrain="domain", range=[-0.5, width - 0.5])
    figure.update_yaxes(visible=False, range=[height - 0.5, -0.5], scaleanchor="x", constrain="domain")
    return figure
