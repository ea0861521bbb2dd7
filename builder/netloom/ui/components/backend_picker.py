"""Where a run is trained: on this machine, or on the Ray cluster, where Ray is installed."""

from __future__ import annotations

import streamlit as st

from netloom.runs import cluster
from netloom.ui.components.page_state import has_value, value_of
from netloom.ui.components.state import BackendState, Key

_HELP = "The cluster at RAY_ADDRESS (default: a local cluster). Each worker processes part of every batch"


def backend_picker() -> None:
    """A choice between this machine and so many workers of a cluster; nothing where there is no Ray."""
    if not cluster.available():
        return
    state = BackendState.current()
    workers = state.workers
    on = st.toggle("Train on the Ray cluster", bool(workers), key=Key.ON_CLUSTER, help=_HELP)
    state.workers = 0
    if on:
        state.workers = int(
            st.number_input("Workers", 1, cluster.MOST_WORKERS, max(1, workers), key=Key.CLUSTER_WORKERS)
        )


def workers() -> int:
    """How many workers of a cluster were chosen; 0 for this machine."""
    if not cluster.available():
        return 0
    if has_value(Key.ON_CLUSTER):  # as the widgets stand, which may not have been drawn yet
        return int(value_of(Key.CLUSTER_WORKERS, 1)) if value_of(Key.ON_CLUSTER) else 0
    return BackendState.current().workers


def backend_summary() -> str:
    """The choice as words for a title; none for this machine."""
    count = workers()
    return f"Ray cluster, {count} worker{'s'[: count != 1]}" if count else ""


def on_cluster() -> bool:
    """Whether the trials of a sweep are to be made on the cluster, as asked here."""
    return cluster.available() and st.toggle("Trials on the Ray cluster", key=Key.SWEEP_ON_CLUSTER, help=_HELP)
