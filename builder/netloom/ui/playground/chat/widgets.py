"""Widgets that start from a policy: their values are taken from it when they are drawn anew, and problems are shown
below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from netloom.chat import Problem
from netloom.core.text import escape
from netloom.ui.components.page_state import has_value, set_value


def started(key: str, value: Any) -> str:
    """Give a widget its first value, and return its key. Later, the widget has the value that a person gave it."""
    if not has_value(key):
        set_value(key, value)
    return key


def show_problems(problems: Sequence[Problem]) -> None:
    """Draw the problems of one place."""
    for problem in problems:
        text = escape(problem.message)
        st.markdown(f":red[:material/error: {text[:1].upper()}{text[1:]}]")


def lines_of(text: str) -> tuple[str, ...]:
    """Return the lines of a text that are not blank."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())
