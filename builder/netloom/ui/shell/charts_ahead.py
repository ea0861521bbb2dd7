"""Loads Plotly while the browser is idle, so that the first chart of a tab does not wait for it.

Streamlit loads Plotly, which is 4.7 MB of JavaScript (1.4 MB compressed), with the first chart of a tab: the first
picture of an explanation would come a second later.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

from netloom.ui.components.streamlit_internals import plotly_file
from netloom.ui.shell.state import Key

# The address is relative to Streamlit's own script, because the app can be served below any path.
_SCRIPT = """
const DELAY_MS = 800;  // the page itself comes first
export default function ({ data }) {
  const script = document.querySelector('script[src*="/static/js/"]');
  if (!data?.file || !script || !window.requestIdleCallback) return;
  const load = () => import(new URL(data.file, script.src).href).catch(() => {});
  const timer = setTimeout(() => requestIdleCallback(load), DELAY_MS);
  return () => clearTimeout(timer);
}
"""


def charts_ahead() -> None:
    """Let the browser load Plotly when it has nothing else to do."""
    _component()(key=Key.CHARTS_AHEAD, data={"file": plotly_file()})


@cache
def _component() -> Any:
    return st.components.v2.component("netloom_charts_ahead", html="<i></i>", js=_SCRIPT)
