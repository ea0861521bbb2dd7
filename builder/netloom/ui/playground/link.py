"""The button that opens the Try it page, on the pages that show a run."""

from __future__ import annotations

import streamlit as st

from netloom.ui.playground.state import Key
from netloom.ui.shell import session
from netloom.ui.shell.state import Query


def try_button(project_id: str, run_id: str, page: str, *, disabled: bool = False) -> None:
    """Draw the button that opens a run on the Try it page. `page` is the page that draws it."""
    if st.button(
        "Try it",
        icon=":material/play_circle:",
        key=Key.LINK.of(page),
        width="stretch",
        disabled=disabled,
        help="Predict your own inputs with this run",
    ):
        session.choose(project_id, run_id)
        st.switch_page("pages/playground.py", query_params={Query.PROJECT.value: project_id})
