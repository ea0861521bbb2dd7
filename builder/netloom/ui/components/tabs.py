"""Tabs of which only the open one is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import streamlit as st


def tabs(contents: Mapping[str, Callable[[], object]], key: str, height: int | Literal["content"] = "content") -> None:
    """Tabs by their titles, of a height in pixels where one is given, within which they scroll. The others are neither
    made nor sent: a page is drawn anew with each click on it."""
    for tab, draw in zip(st.tabs(list(contents), key=key, on_change="rerun"), contents.values(), strict=True):
        if tab.open:
            with tab, st.container(height=height, border=False):
                draw()
