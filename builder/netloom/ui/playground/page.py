"""The Try it page: an input on the left, the prediction of a run on the right, or the predictions for a file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from netloom.core.text import escape
from netloom.data import DataError
from netloom.document import DocumentError
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.store import Run, StoreError
from netloom.training.weight_files import CheckpointError
from netloom.ui.explain.open_run import open_run
from netloom.ui.playground.batch import batch_of
from netloom.ui.playground.one_input import Tried, one_input
from netloom.ui.playground.state import Key, TryItState
from netloom.ui.shell.background import in_background
from netloom.ui.shell.errors import show_error
from netloom.ui.shell.run_picker import choose_checkpoint, choose_run, run_labels, runs_with_weights, written_at

ONE, BATCH = "One input", "File"
MODES = {ONE: ":material/edit: One input", BATCH: ":material/table_rows: File"}
NO_RUN = "No second run"
COMPARE_HELP = "Another run of this project that was trained on the same data. Both predict the same input."
STYLE = """<style>
.st-key-try-controls { justify-content: flex-start; }
.st-key-try-controls > :has(.stSelectbox) { flex: 1 1 16rem; max-width: 30rem; }
.st-key-try-editor-live { position: absolute; }
@media (max-width: 640px) { .st-key-try-header h3 { font-size: 1.15rem; padding: 0; } }
</style>"""
ERRORS = (DataError, StoreError, OSError, CheckpointError, DocumentError)


def page(live: Live) -> None:
    """Draw the Try it page."""
    runs = runs_with_weights(live)
    if not runs:
        st.subheader(escape(live.project.name))
        st.info("This project has no trained run yet. Train the network first, then try it here.")
        if st.button("Go to Train", type="primary", icon=":material/show_chart:"):
            st.switch_page("pages/train.py")
        return
    st.html(STYLE)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key=Key.HEADER):
        st.subheader(escape(live.project.name), width="content", anchor=False)
        mode = st.segmented_control(
            "Input",
            list(MODES),
            default=ONE,
            format_func=MODES.__getitem__,
            required=True,
            key=Key.MODE,
            label_visibility="collapsed",
        )
    try:
        with st.container(horizontal=True, vertical_alignment="bottom", key=Key.CONTROLS):
            tried = _tried(live, choose_run(live, runs))
            other = _second(live, runs, tried) if mode == ONE else None
        if mode == ONE:
            one_input(tried, other)
        else:
            batch_of(tried)
    except ERRORS as error:
        show_error(error)


def _tried(live: Live, run_id: str) -> Tried:
    """Return a run with the weights that the page uses."""
    weights = RunWeights(run_id, choose_checkpoint(live, run_id), written_at(live, run_id))
    trained = in_background(partial(open_run, live.store, run_id, weights.written), "Reading the data …")
    return Tried(live, trained, weights)


def _second(live: Live, runs: Sequence[Run], tried: Tried) -> Tried | None:
    """Draw the choice of a second run, and return it."""
    data = tried.trained.project.data
    others = [
        run
        for run in runs
        if run.id != tried.trained.run.id and live.store.artifacts(run.id).project().data.dataset == data.dataset
    ]
    if not others:
        return None
    state, labels = TryItState.current(), run_labels(runs)
    ids = ["", *(run.id for run in others)]
    chosen = st.selectbox(
        "Compare with",
        ids,
        index=ids.index(state.compared) if state.compared in ids else 0,
        format_func=lambda run_id: labels.get(run_id, NO_RUN),
        help=COMPARE_HELP,
    )
    state.compared = str(chosen)
    if not chosen:
        return None
    weights = RunWeights(chosen, live.store.artifacts(chosen).default_weights(), written_at(live, chosen))
    return Tried(live, open_run(live.store, chosen, weights.written), weights)
