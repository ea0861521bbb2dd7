"""The keyboard focus in popovers: Tab leads from their button into them, and back when they close."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from netloom.ui.components.state import Key


def focus_popovers() -> None:
    """Let Tab lead from the button of an open popover into it, on the page that is being drawn."""
    _component()(key=Key.POPOVERS)


@cache
def _component() -> Any:
    script = files("netloom.ui.components").joinpath("popover_focus.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_popover_focus", html="<i></i>", js=script)
