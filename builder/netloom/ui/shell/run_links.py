"""The buttons that open a run on another page, on the pages that show a run."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from netloom.ui.shell import session
from netloom.ui.shell.navigation import PAGES
from netloom.ui.shell.state import Key, Query

# The pages on which a trained run can be opened, with the help of the button
RUN_PAGES = {
    "explain": "Explain the predictions of this run",
    "playground": "Predict your own inputs with this run",
    "deploy": "Serve this run, make it smaller, measure drift, or write its model card",
}


def run_link(
    target: str,
    project_id: str,
    run_id: str,
    page: str,
    *,
    disabled: bool = False,
    width: Literal["content", "stretch"] = "content",
) -> None:
    """Draw the button that opens a run on the page `target`, one of `RUN_PAGES`. `page` is the page that draws it."""
    title, icon = PAGES[target]
    if st.button(
        title,
        icon=icon,
        key=Key.RUN_LINK.of(page, target),
        width=width,
        disabled=disabled,
        help=RUN_PAGES[target],
    ):
        session.choose(project_id, run_id)
        st.switch_page(f"pages/{target}.py", query_params={Query.PROJECT.value: project_id})
