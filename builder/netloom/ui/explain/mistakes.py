"""The worst examples of a run, which link to their explanation, and the link back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.ui.components.page_state import set_value
from netloom.ui.explain.state import ExplainState, Key
from netloom.ui.runs.state import Key as RunsKey
from netloom.ui.shell import session
from netloom.ui.shell.state import Query
from netloom.ui.train.state import WORST_TAB
from netloom.ui.train.state import Key as TrainKey

if TYPE_CHECKING:
    from netloom.editing.live import Live
    from netloom.store import Run

# The pages that show worst examples.
TRAIN, RUNS = "train", "runs"
BACK = {TRAIN: "Back to Train", RUNS: "Back to Runs"}


def explain_button(run: Run, row: int, page: str) -> None:
    """Draw the button below a worst example that opens its explanation. `page` is the page that shows the example."""
    if st.button("Explain", icon=":material/visibility:", key=Key.EXPLAIN_ROW.of(page, run.id, row), type="tertiary"):
        ExplainState.current().came_from = page
        session.choose(run.project_id, run.id)
        parameters = {Query.PROJECT: run.project_id, Query.RUN: run.id, Query.ROW: str(row), Query.VIEW: "input"}
        st.switch_page("pages/explain.py", query_params={name.value: value for name, value in parameters.items()})


def back_link(live: Live) -> None:
    """Draw the button back to the worst examples, if one of them led here."""
    state = ExplainState.current()
    if state.came_from not in BACK:
        return
    if st.button(BACK[state.came_from], icon=":material/arrow_back:", key=Key.BACK, type="tertiary"):
        page, state.came_from = state.came_from, ""
        run_id = session.chosen_run()
        # Each page opens its worst examples again: Train a tab, Runs an expander of the selected run.
        set_value(*((TrainKey.RESULTS.of(run_id), WORST_TAB) if page == TRAIN else (RunsKey.WORST.of(run_id), True)))
        st.switch_page(f"pages/{page}.py", query_params={Query.PROJECT.value: live.id})
