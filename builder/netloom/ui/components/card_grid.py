"""A grid of cards: rows of as many as fit; on a phone, one row that is swiped, or a list."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.ui.components.state import Key

STYLE = """<style>
[class*=st-key-cards] { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(max(205px, 22%), 1fr)); }
[class*=st-key-cards-small] { grid-template-columns: repeat(auto-fill, minmax(max(165px, 18%), 1fr)); }
[class*=st-key-cards] > [data-testid=stLayoutWrapper] { height: 100%; }
[class*=st-key-cards] > [data-testid=stLayoutWrapper] > .stVerticalBlock > :last-child { margin-top: auto; }
@media (max-width: 640px) {
  [class*=st-key-cards][class*=-swiped-] { grid-template-columns: none; grid-auto-flow: column; grid-auto-columns: 74%;
    overflow-x: auto; scroll-snap-type: x proximity; padding-bottom: 0.5rem; }
  [class*=st-key-cards][class*=-swiped-] > * { scroll-snap-align: start; }
}
</style>"""


def card_grid(name: str, *, swiped: bool, small: bool = False) -> DeltaGenerator:
    """Return the container of the cards, each with a border and the height "stretch". `name` identifies the grid on
    the page; on a phone, its cards are a row that is `swiped`, or else a list. Five `small` cards fit beside each
    other, or else four."""
    st.html(STYLE)
    return st.container(key=Key.CARDS.of("small" if small else "large", "swiped" if swiped else "listed", name))
