"""Where a run is trained: on this machine, or on the Ray cluster, where Ray is installed."""

from __future__ import annotations

import streamlit as st

from netloom.runs import cluster

_ON, _WORKERS = "on a cluster", "cluster workers"
_KEPT = "cluster choice"
_HELP = "The cluster at RAY_ADDRESS, else one of this machine. Each worker takes its part of every batch"


def choose_where() -> None:
    """A choice between this machine and so many workers of a cluster; nothing where there is no Ray."""
    if not cluster.available():
        return
    known = st.session_state.get(_KEPT, 0)
    on = st.toggle("Train on the Ray cluster", bool(known), key=_ON, help=_HELP)
    workers = 0
    if on:
        workers = int(st.number_input("Workers", 1, cluster.MOST_WORKERS, max(1, known), key=_WORKERS))
    st.session_state[_KEPT] = workers


def workers() -> int:
    """How many workers of a cluster were chosen; 0 for this machine."""
    if not cluster.available():
        return 0
    if _ON in st.session_state:  # as the widgets stand, which may not have been drawn yet
        return int(st.session_state.get(_WORKERS, 1)) if st.session_state[_ON] else 0
    return int(st.session_state.get(_KEPT, 0))


def where_words() -> str:
    """The choice as words for a title; none for this machine."""
    count = workers()
    return f"Ray cluster, {count} worker{'s'[: count != 1]}" if count else ""


def on_cluster() -> bool:
    """Whether the trials of a sweep are to be made on the cluster, as asked here."""
    return cluster.available() and st.toggle("Trials on the Ray cluster", key="sweep on a cluster", help=_HELP)
