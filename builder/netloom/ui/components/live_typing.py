"""Fields that send their value while a person types, and not only when they lose the focus."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from netloom.ui.components.state import Part

# Long enough that a word is not sent letter by letter, and short enough that the rest of 300 ms is for the prediction.
PAUSE_MS = 100


def send_while_typing(key: str) -> None:
    """Let the fields of the container with this key send their value after each pause."""
    _component()(key=Part.LIVE.within(key), data={"container": key.replace(" ", "-"), "pause": PAUSE_MS})


@cache
def _component() -> Any:
    script = files("netloom.ui.components").joinpath("live_typing.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_live_typing", html="<i></i>", js=script)
