"""The worst examples of a run, which link to their explanation, and the link back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.ui.components.page_state import set_value
from netloom.ui.explain.state import ExplainState, Key, WorstExamples
from netloom.ui.shell import session
from netloom.ui.shell.state import Query

if TYPE_CHECKING:
    from netloom.editing.live import Live
    from netloom.store import Run


def explain_button(run: Run, row: int, place: WorstExamples) -> None:
    """Draw the button below a worst example that opens its explanation. `place` shows the example."""
    key = Key.EXPLAIN_ROW.of(place.page, run.id, row)
    if st.button("Explain", icon=":material/visibility:", key=key, type="tertiary"):
        ExplainState.current().came_from = place
        session.choose(run.project_id, run.id)
        parameters = {Query.PROJECT: run.project_id, Query.RUN: run.id, Query.ROW: str(row), Query.VIEW: "input"}
        st.switch_page("pages/explain.py", query_params={name.value: value for name, value in parameters.items()})


def back_link(live: Live) -> None:
    """Draw the button back to the worst examples, if one of them led here."""
    state = ExplainState.current()
    origin = state.came_from
    if origin is None:
        return
    if st.button(f"Back to {origin.title}", icon=":material/arrow_back:", key=Key.BACK, type="tertiary"):
        state.came_from = None
        set_value(origin.widget.of(session.chosen_run()), origin.value)
        st.switch_page(f"pages/{origin.page}.py", query_params={Query.PROJECT.value: live.id})
