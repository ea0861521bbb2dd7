"""A brush that the keyboard moves over an image whose cells can be painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from netloom.ui.components.page_state import set_value, value_of

MAX_REMEMBERED = 200
MAX_ID = 40  # letters of the id of a stroke

_HTML = """
<div data-part="brush" role="application" tabindex="0" aria-describedby="help">
  <span data-part="help" id="help"></span>
  <span data-part="status" role="status"></span>
</div>
"""
_CSS = """
[data-part=brush] { font: 0.875rem var(--st-font); color: var(--st-text-color); border-radius: 8px;
  padding: 0.2rem 0.4rem; margin: 0.15rem; cursor: default; }
[data-part=help] { opacity: 0.75; }
[data-part=status] { display: none; }
[data-part=brush]:focus { outline: 2px solid var(--st-primary-color); }
[data-part=brush]:focus [data-part=status] { display: block; font-weight: 600; }
"""


@dataclass(frozen=True)
class Board:
    """An image of (`height`, `width`) pixels in square cells with a side of `cell` pixels, in the container with a
    `key`."""

    key: str
    height: int
    width: int
    cell: int

    @property
    def rows(self) -> int:
        return -(-self.height // self.cell)

    @property
    def columns(self) -> int:
        return -(-self.width // self.cell)


@dataclass
class BrushStrokes:
    """The ids of the strokes that were received, the newest last."""

    received: list[str] = field(default_factory=list)

    def take(self, sent: object, board: Board, colors: int) -> list[tuple[list[tuple[int, int]], int]]:
        """Return the cells (row, column) and the number of the color of strokes that were not received before.

        Args:
            sent: Triples of an id, cells and a color from the browser; others, and cells beside the image, are left
                out.
        """
        strokes = []
        for stroke in sent[:MAX_REMEMBERED] if isinstance(sent, list) else []:
            match stroke:
                case [str(number), [*cells], int(color)] if len(number) <= MAX_ID and number not in self.received:
                    self.received.append(number)
                    inside = {position for cell in cells if (position := _place(cell, board)) is not None}
                    if inside and 0 <= color < colors:
                        strokes.append((sorted(inside), color))
        del self.received[:-MAX_REMEMBERED]
        return strokes


def keyboard_brush(
    key: str, board: Board, colors: Sequence[str], color_key: str, received: BrushStrokes, *, noun: str
) -> list[tuple[list[tuple[int, int]], str]]:
    """Draw the line that takes the keys, and return the strokes since the last script: cells and a color.

    Args:
        colors: The names of the colors, which the number keys pick.
        color_key: The key of the widget with the color.
        noun: What a color is called in the help.
    """

    def pick() -> None:
        number = value_of(key).get("color")
        if isinstance(number, int) and 0 <= number < len(colors):
            set_value(color_key, colors[number])

    brush = _component()(
        key=key,
        data={
            "board": board.key,
            "rows": board.rows,
            "columns": board.columns,
            "side": board.cell,
            "height": board.height,
            "width": board.width,
            "colors": list(colors),
            "color": list(colors).index(value_of(color_key)),
            "noun": noun,
            "confirmed": list(received.received),
        },
        on_color_change=pick,
    )
    strokes = received.take(brush.get("strokes"), board, len(colors))
    return [(cells, colors[color]) for cells, color in strokes]


def _place(cell: object, board: Board) -> tuple[int, int] | None:
    match cell:
        case [int(row), int(column)] if 0 <= row < board.rows and 0 <= column < board.columns:
            return row, column
    return None


@cache
def _component() -> Any:
    script = files("netloom.ui.components").joinpath("keyboard_brush.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_keyboard_brush", html=_HTML, css=_CSS, js=script)
