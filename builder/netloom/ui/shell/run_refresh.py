"""Reruns a page that shows runs when one of the active runs changes.

The page polls the store every two seconds, only while a run is active. A thread of the server monitors the runs
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import streamlit as st

from netloom.editing.live import Live
from netloom.runs import ACTIVE
from netloom.store import Run
from netloom.ui.components.errors import guard

REFRESH_S = 2.0
State = frozenset[Hashable]


def rerun_on_change(shown: State, read: Callable[[], State]) -> None:
    """Rerun the page when `read`, which returns the state of the active runs, no longer returns the shown state. There
    is no polling if that is empty."""
    if shown:
        st.fragment(_look, run_every=REFRESH_S)(shown, read)


@guard()
def _look(shown: State, read: Callable[[], State]) -> None:
    if read() != shown:
        st.rerun(scope="app")


def follow_runs(live: Live, runs: Sequence[Run]) -> None:
    """Rerun a page that reads the weights of runs when an active run of the project gets its first weights or changes
    its state, but not after each checkpoint, which would replace what the user is reading.

    Args:
        runs: The runs of the project, as the page shows them.
    """

    def state(runs: Sequence[Run]) -> State:
        return frozenset(
            (run.id, run.state, bool(live.store.artifacts(run.id).weights_written_at()))
            for run in runs
            if run.state in ACTIVE and run.project_id == live.id
        )

    rerun_on_change(state(runs), lambda: state(live.store.active_runs()))
