"""The keyboard focus after a click on a button that the page replaces."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from netloom.ui.components.state import Key


def keep_focus() -> None:
    """Keep the focus at the state of the run after a click on Start, Pause, Resume or Stop, which replace a button."""
    _component()(key=Key.BUTTON_FOCUS)


@cache
def _component() -> Any:
    script = files("netloom.ui.components").joinpath("button_focus.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_button_focus", html="<i></i>", js=script)
