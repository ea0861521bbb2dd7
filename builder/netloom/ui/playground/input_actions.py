"""The actions for an input: explain its prediction, or collect it with its correct label for a version of the data."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from netloom.core.text import escape
from netloom.data import DataError
from netloom.editing.live import Live
from netloom.jobs import JobError, RunWeights
from netloom.jobs.requests.predictions import Predict
from netloom.modalities.encoding.cells import RawRow, row_digest
from netloom.monitoring.collecting import collect_input, restriction_of
from netloom.store import StoreError
from netloom.training.weights.weight_files import CheckpointError
from netloom.ui.components.errors import show_error
from netloom.ui.components.examples.label_input import label_input, picture_of
from netloom.ui.explain.example_picker import explain_input
from netloom.ui.explain.open_run import OpenRun
from netloom.ui.playground.state import Key
from netloom.ui.shell import session
from netloom.ui.shell.jobs import computed
from netloom.ui.shell.state import Query


def input_actions(live: Live, trained: OpenRun, weights: RunWeights, raw: RawRow, row: int, *, is_row: bool) -> None:
    """Draw the buttons that explain and that collect a raw row. `row` is the number of a row of the data from which
    another explanation can start, and `is_row` says whether the raw row is that row."""
    if st.button("Explain this", icon=":material/visibility:", key=Key.EXPLAIN):
        open_explain(live, trained.run.id, row, None if is_row else raw)
    _collect_button(live, trained, weights, raw)


def open_explain(live: Live, run_id: str, row: int, edited: RawRow | None) -> None:
    """Open the Explain page with a row of a run, or with an edited raw row that starts from it."""
    explain_input(run_id, row, edited)
    session.choose(live.id, run_id)
    st.switch_page("pages/explain.py", query_params={Query.PROJECT.value: live.id})


def _collect_button(live: Live, trained: OpenRun, weights: RunWeights, raw: RawRow) -> None:
    """Draw the button that collects a raw row; it is disabled if a label does not correct predictions of this kind."""
    true_label = trained.objective.task.true_label(trained.data.schema)
    if true_label is None:
        reason = trained.objective.task.not_corrected
        st.button("Collect", icon=":material/playlist_add:", key=Key.COLLECT, disabled=True, help=reason)
        return
    help = "Keep this input with its correct label. The Monitor page lists collected examples."
    with st.popover("Collect", icon=":material/playlist_add:", help=help, key=Key.COLLECT, width="content"):
        if restriction := restriction_of(trained.data):
            st.caption(f":material/info: {escape(restriction)}")
        prediction = _predicted(weights, raw) if true_label.corrects_prediction else None
        proposed = true_label.proposed(trained.data, raw, prediction)
        check = partial(true_label.check_row, trained.data, raw)
        picture = picture_of(trained.data, raw) if true_label.painted or true_label.boxed else None
        # A label that was typed for one input must not stay for the next one
        key = Key.LABEL.of(trained.run.id, row_digest(dict(raw)).hex())
        label = label_input(true_label, key, proposed, title="Correct label", check=check, picture=picture)
        if not st.button("Collect this input", key=Key.COLLECT_NOW, type="primary"):
            return
        if label is None:
            how = "Paint or upload" if true_label.painted is not None else "Type" if true_label.hint else "Choose"
            st.warning(f"{how} the correct label first.")
            return
        try:
            collect_input(live.store, trained.run, raw, label, "Try it")
        except (StoreError, OSError) as error:
            show_error(error)
            return
        count = len(live.store.collected(live.id).all())
        st.success(f"Collected. The project has {count:,} collected example{'s' * (count > 1)}.")


def _predicted(weights: RunWeights, raw: RawRow) -> Any:
    try:
        return computed(Predict(weights, dict(raw)), "Loading the network …").answer["prediction"]
    except (DataError, JobError, CheckpointError, OSError):
        return None  # shown beside the input
