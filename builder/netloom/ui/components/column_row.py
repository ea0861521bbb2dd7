"""Columns in rows, which on a phone remain beside each other or in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Literal, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.ui.components.state import Key

T = TypeVar("T")
STYLE = """<style>
@media (max-width: 640px) {
  [class*=st-key-row-] > * > .stHorizontalBlock { flex-wrap: nowrap; gap: 0.6rem; overflow-x: auto;
    scroll-snap-type: x proximity; }
  [class*=st-key-row-] > * > .stHorizontalBlock > .stColumn { scroll-snap-align: start; }
  [class*=st-key-row-whole-] > * > .stHorizontalBlock > .stColumn { min-width: 0; flex: 1 1 0; }
  /* A picture is as wide as its column and at the top; the rest of its height would be empty. */
  [class*=st-key-row-whole-] .stElementContainer:has(.stPlotlyChart) { max-height: 46vw; overflow: hidden; }
  [class*=st-key-row-whole-] button { padding-inline: 0.25rem; }
  [class*=st-key-row-pairs-] > * > .stHorizontalBlock { flex-wrap: wrap; overflow: visible; }
  [class*=st-key-row-pairs-] > * > .stHorizontalBlock > .stColumn { min-width: 0; flex: 1 1 calc(50% - 0.6rem); }
  [class*=st-key-row-swiped-] > * > .stHorizontalBlock > .stColumn { min-width: 86%; }
}
</style>"""


class OnPhone(StrEnum):
    """How columns are laid out on a phone."""

    PAIRS = "pairs"  # two beside each other, the next two below them
    WHOLE = "whole"  # all are in view, each narrower
    SWIPED = "swiped"  # the first is in view with the edge of the second; the others follow when the row is scrolled


def column_row(
    spec: int | Sequence[float],
    key: str,
    on_phone: OnPhone,
    gap: Literal["small", "medium"] = "small",
    align: Literal["top", "bottom"] = "top",
) -> list[DeltaGenerator]:
    """Draw columns, by their number or their relative widths, and return them. `key` identifies the row on the page."""
    with st.container(key=Key.COLUMN_ROW.of(on_phone, key)):
        st.html(STYLE)
        return st.columns(spec, gap=gap, vertical_alignment=align)


def in_rows(items: Sequence[T], across: int) -> Iterator[tuple[DeltaGenerator, T]]:
    """Yield a column for each item, from left to right in rows of `across`, so that items keep their order on a phone
    and for the keyboard."""
    for first in range(0, len(items), across):
        yield from zip(st.columns(across), items[first : first + across], strict=False)
