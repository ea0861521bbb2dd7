"""The train page: how to train, what goes on, how it went."""

from __future__ import annotations

import streamlit as st

from builder import train
from builder.store import Run
from builder.ui import notice, session
from builder.ui.curves import PLAIN, Curves
from builder.ui.curves.plot import plot
from builder.ui.live import Live
from builder.ui.recipe import recipe
from builder.ui.results import results
from builder.ui.watching import MOST_CHARTS, STATES, watch
from builder.ui.words import at, plain, told_apart

REFRESH_S = 0.8


def training(live: Live) -> None:
    """Everything on the train page."""
    train.warm(live.store)
    st.subheader(plain(live.project.name))
    left, right = st.columns([1, 2.6], gap="large")
    with left:
        recipe(live)
    with right:
        _runs(live)


def _runs(live: Live) -> None:
    rows = [
        train.refresh(live.store, run.id) if run.state in train.ACTIVE else run
        for run in live.store.runs(live.id, limit=200)
    ]
    if not rows:
        st.markdown("#### No runs yet")
        st.caption("Press Start training: the curves appear here, and stay with the run whatever happens.")
        # Empty charts, so that the browser has loaded what draws the curves before there are any.
        objective = train.OBJECTIVES.get(live.project.training.objective, train.OBJECTIVES["classification"])
        plot(Curves(), "", list(objective.metrics.items())[:MOST_CHARTS], 1, PLAIN, "")
        return
    ids = [run.id for run in rows]
    known = {run.id: run for run in rows}
    labels = told_apart({run.id: _name(run) for run in rows})
    chosen = st.session_state.get("run") or st.query_params.get("run")
    if chosen not in known:
        chosen = ids[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        picked = st.selectbox(
            "Run",
            ids,
            index=ids.index(chosen),
            format_func=labels.__getitem__,
            key=f"runs {len(ids)} {chosen} {known[chosen].state in train.ACTIVE}",
        )
        notice.button("notice train")
    if picked != chosen:
        session.choose(live.id, picked)
        st.rerun()
    st.session_state["run"] = picked
    st.query_params["run"] = picked
    run = known[picked]
    active = run.state in train.ACTIVE
    st.fragment(watch, run_every=REFRESH_S if active else None)(live, picked, "" if active else run.state)
    if not active:
        results(live, run)


def _name(run: Run) -> str:
    """A run in the list. One that goes on changes its state without the list being drawn anew."""
    state = "under way" if run.state in train.ACTIVE else STATES[run.state][1].lower()
    return f"{run.title[:60]} · {state} · {at(run.created_at)}"
