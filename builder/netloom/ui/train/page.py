"""The Train page: the training form, the run monitor, and the results."""

from __future__ import annotations

import streamlit as st

from netloom import runs
from netloom.editing.live import Live
from netloom.store import Run
from netloom.tasks import task
from netloom.ui.components.curves.curve import PLAIN, Curves
from netloom.ui.components.curves.plot import plot
from netloom.ui.components.words import at, escape, unique_labels
from netloom.ui.shell import notifications, session
from netloom.ui.shell.background import in_background
from netloom.ui.shell.state import Query
from netloom.ui.train.results import results
from netloom.ui.train.run_monitor import MOST_CHARTS, STATES, run_monitor
from netloom.ui.train.state import Key
from netloom.ui.train.training_form import training_form

REFRESH_S = 0.8


def page(live: Live) -> None:
    """Draw the Train page."""
    runs.warm(live.store)
    st.subheader(escape(live.project.name))
    in_background(live.analysis, "Reading the data and checking the network …")
    left, right = st.columns([1, 2.6], gap="large")
    with left:
        training_form(live)
    with right:
        _runs(live)


def _runs(live: Live) -> None:
    rows = [
        runs.refresh(live.store, run.id) if run.state in runs.ACTIVE else run
        for run in live.store.runs(live.id, limit=200)
    ]
    if not rows:
        st.markdown("#### No runs yet")
        st.caption("Press Start training. The curves appear here and are saved with the run.")
        # Empty charts, so that the browser loads the component of curves before the first points.
        objective = task(live.project.training.objective)
        plot(Curves(), "", list(objective.metrics.items())[:MOST_CHARTS], 1, PLAIN, "")
        return
    ids = [run.id for run in rows]
    by_id = {run.id: run for run in rows}
    labels = unique_labels({run.id: run_label(run) for run in rows})
    chosen = session.chosen_run() or Query.RUN.get()
    if chosen not in by_id:
        chosen = ids[0]
    choice, notice = st.columns([3, 1], vertical_alignment="bottom")  # one below the other on a narrow screen
    with choice:
        # `index` counts only for a new key, so the key changes with the list, the chosen run and its state.
        picked = st.selectbox(
            "Run",
            ids,
            index=ids.index(chosen),
            format_func=labels.__getitem__,
            key=Key.RUNS.of(len(ids), chosen, by_id[chosen].state in runs.ACTIVE),
        )
    with notice:
        notifications.button(Key.NOTICE)
    if picked != chosen:
        session.choose(live.id, picked)
        st.rerun()
    session.choose(live.id, picked)
    Query.RUN.set(picked)
    run = by_id[picked]
    active = run.state in runs.ACTIVE
    st.fragment(run_monitor, run_every=REFRESH_S if active else None)(live, picked, "" if active else run.state)
    if not active:
        results(live, run)


def run_label(run: Run) -> str:
    """Return the label of a run; the same for all active states, which change without a rerun of the list."""
    state = "running" if run.state in runs.ACTIVE else STATES[run.state][1].lower()
    return f"{run.title[:60]} · {state} · {at(run.created_at)}"
