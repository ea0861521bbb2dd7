"""Loads Plotly while the browser is idle, so that the first chart of a tab does not wait for it.

Streamlit loads Plotly, which is 4.7 MB of JavaScript (1.4 MB compressed), with the first chart of a tab: the first
picture of an explanation would come a second later. The page does not answer while Plotly is run, so the browser waits
until nobody types or draws.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from netloom.ui.components.streamlit_internals import plotly_file
from netloom.ui.shell.state import Key


def charts_ahead() -> None:
    """Let the browser load Plotly when it has nothing else to do."""
    _component()(key=Key.CHARTS_AHEAD, data={"file": plotly_file()})


@cache
def _component() -> Any:
    script = files("netloom.ui.shell").joinpath("charts_ahead.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_charts_ahead", html="<i></i>", js=script)
