"""Expanders whose content is drawn only while they are open."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from netloom.core.text import escape


def expander(
    title: str, draw: Callable[[], object], *, key: str, icon: str, words: str = "", is_expanded: bool = False
) -> None:
    """Draw an expander; its content is neither drawn nor sent while it is closed, as each click on a page reruns it.

    Args:
        words: A summary below the expander. It is not part of the title, as Streamlit replaces an expander whose title
            changes, so that a field in it would lose the focus.
    """
    box = st.expander(title, expanded=is_expanded, icon=icon, key=key, on_change="rerun")
    if box.open:
        with box:
            draw()
    if words:
        st.caption(escape(words))
