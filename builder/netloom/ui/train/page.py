"""The Train page: the training form, the run monitor, and the results."""

from __future__ import annotations

import streamlit as st

from netloom import runs
from netloom.core.text import escape
from netloom.data.augmentation import augmentations
from netloom.editing.live import Live
from netloom.store import Run
from netloom.tasks import task
from netloom.ui.components.button_focus import keep_focus
from netloom.ui.components.curves.curve import PLAIN, Curves
from netloom.ui.components.curves.plot import plot
from netloom.ui.components.words import at, unique_labels
from netloom.ui.shell import notifications, session
from netloom.ui.shell.background import in_background
from netloom.ui.shell.run_picker import is_unknown_run, warn_of_unknown_run
from netloom.ui.shell.state import Query
from netloom.ui.train.run_monitor import STATES, run_monitor
from netloom.ui.train.run_tabs import MAX_CHARTS
from netloom.ui.train.state import Key
from netloom.ui.train.training_form import training_form

REFRESH_S = 0.8
# What does not fit beside the choice of the run, or the state of the run, is below it.
ROWS = """<style>
.st-key-run-row > :has(.stSelectbox) { flex: 1 1 16rem; }
.st-key-run-status > :last-child { flex: 1 1 auto; width: auto; }
@media (max-width: 640px) { .st-key-controls { justify-content: flex-start; } }
</style>"""
# The card of the main settings stays in view while the page scrolls, where the screen has room for it. While a run is
# active, the two columns are rows; they stay the same elements, because a chart in a new element starts empty.
BESIDE = """<style>
/* On a phone, the run is above the settings that are changed less often. */
@media (max-width: 640px) {
  .st-key-train-page .stColumn:has(.st-key-train-card), .st-key-train-page .stColumn > :has(> * > .st-key-train-card) {
    display: contents; }
  .st-key-train-page .stColumn:has(.st-key-train-card) > * > * { order: 2; width: 100%; }
  .st-key-train-page .stColumn > * > :has(> .st-key-train-card) { order: 0; }
  .st-key-train-page .stColumn:not(:has(.st-key-train-card)) { order: 1; }
}
@media (min-width: 640px) and (min-height: 640px) {
  .st-key-train-card { position: sticky; top: 4.2rem; z-index: 10; background: light-dark(#ffffff, #12131a); }
  [data-testid=stLayoutWrapper]:has(> .st-key-train-card) { position: sticky; top: 4.2rem; z-index: 10; }
}
</style>"""
STACKED = """<style>
.st-key-train-page > [data-testid=stLayoutWrapper] > .stHorizontalBlock { flex-direction: column; gap: 0.5rem; }
.st-key-train-page > [data-testid=stLayoutWrapper] > .stHorizontalBlock > .stColumn { width: 100%; flex: 1 1 auto; }
</style>"""


def preload() -> None:
    """Import the augmentations of the form."""
    augmentations()


def page(live: Live) -> None:
    """Draw the Train page: the form beside the run, or, while the run is active, folded to one line above it."""
    runs.warm(live.store)
    st.header(escape(live.project.name))
    in_background(live.analysis, "Reading the data and checking the network …")
    rows = _rows(live)
    chosen = _chosen(rows)
    active = chosen is not None and chosen.state in runs.ACTIVE
    st.html(ROWS + (STACKED if active else BESIDE))
    keep_focus()
    with st.container(key=Key.PAGE):
        left, right = st.columns([1, 2.4], gap="medium")
    with left:
        training_form(live, folded=active)
    with right:
        warn_of_unknown_run({run.id for run in rows})
        if chosen is None:
            _no_runs(live)
        else:
            _run(live, rows, chosen)


def _rows(live: Live) -> list[Run]:
    return [
        runs.refresh(live.store, run.id) if run.state in runs.ACTIVE else run
        for run in live.store.runs(live.id, limit=200)
    ]


def _chosen(rows: list[Run]) -> Run | None:
    """Return the run that the user selected last, otherwise the newest one."""
    chosen_id = session.chosen_run() or Query.RUN.get()
    return next((run for run in rows if run.id == chosen_id), rows[0] if rows else None)


def _no_runs(live: Live) -> None:
    st.markdown("### No runs yet")
    st.caption("Press Start training. The curves appear here and are saved with the run.")
    # Empty charts, so that the browser loads the component of curves before the first points.
    objective = task(live.project.training.objective)
    plot(Curves(), "", list(objective.metrics.items())[:MAX_CHARTS], 1, PLAIN, "")


def _run(live: Live, rows: list[Run], chosen: Run) -> None:
    """Draw the choice of the run, and the run."""
    by_id = {run.id: run for run in rows}
    labels = unique_labels({run.id: run_label(run) for run in rows})
    with st.container(horizontal=True, vertical_alignment="bottom", key=Key.RUN_ROW):
        # `index` counts only for a new key, so the key changes with the list, the chosen run and its state.
        picked = st.selectbox(
            "Run",
            list(by_id),
            index=list(by_id).index(chosen.id),
            format_func=labels.__getitem__,
            key=Key.RUNS.of(len(rows), chosen.id, chosen.state in runs.ACTIVE),
        )
        notifications.button(Key.NOTICE)
    if picked != chosen.id or not is_unknown_run(by_id):
        session.choose(live.id, picked)
        Query.RUN.set(picked)
    if picked != chosen.id:
        st.rerun()
    active = chosen.state in runs.ACTIVE
    st.fragment(run_monitor, run_every=REFRESH_S if active else None)(live, picked, "" if active else chosen.state)


def run_label(run: Run) -> str:
    """Return the label of a run, without a state if it is active: that changes without a rerun of the list."""
    state = "" if run.state in runs.ACTIVE else f"{STATES[run.state][1].lower()} · "
    return f"{run.title[:60]} · {state}{at(run.created_at)}"
