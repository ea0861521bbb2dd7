"""Tabs that draw only the open one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import streamlit as st


def tabs(contents: Mapping[str, Callable[[], object]], key: str, height: int | Literal["content"] = "content") -> None:
    """Draw tabs by title, with a height in pixels within which they scroll.

    Only the open tab is drawn and sent, because each click on a page reruns it.
    """
    for tab, draw in zip(st.tabs(list(contents), key=key, on_change="rerun"), contents.values(), strict=True):
        if tab.open:
            with tab, st.container(height=height, border=False):
                draw()
