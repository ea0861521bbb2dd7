"""The choice of the execution backend: this machine, or the Ray cluster if Ray is installed."""

from __future__ import annotations

import streamlit as st

from netloom.runs import cluster
from netloom.ui.components.page_state import has_value, value_of
from netloom.ui.components.state import BackendState, Key

_HELP = "The cluster at RAY_ADDRESS (default: a local cluster). Each worker processes part of every batch"


def backend_picker() -> None:
    """Draw the choice between this machine and a number of cluster workers; draws nothing without Ray."""
    if not cluster.available():
        return
    state = BackendState.current()
    workers = state.workers
    is_on = st.toggle("Train on the Ray cluster", bool(workers), key=Key.ON_CLUSTER, help=_HELP)
    # Copied from the widgets, whose values end when the page changes
    state.workers = 0
    if is_on:
        state.workers = int(
            st.number_input("Workers", 1, cluster.MAX_WORKERS, max(1, workers), key=Key.CLUSTER_WORKERS)
        )


def workers() -> int:
    """Return the chosen number of cluster workers; 0 for this machine."""
    if not cluster.available():
        return 0
    if has_value(Key.ON_CLUSTER):  # the widgets are newer than the state, which is set when they are drawn
        return int(value_of(Key.CLUSTER_WORKERS, 1)) if value_of(Key.ON_CLUSTER) else 0
    return BackendState.current().workers


def backend_summary() -> str:
    """Return the choice for a title; "" for this machine."""
    count = workers()
    return f"Ray cluster, {count} worker{'s'[: count != 1]}" if count else ""


def on_cluster() -> bool:
    """Draw the choice, and return whether the trials of a sweep run on the cluster."""
    return cluster.available() and st.toggle("Trials on the Ray cluster", key=Key.SWEEP_ON_CLUSTER, help=_HELP)
