"""Computations of a page in a thread of the web server: reading data, checking a network, importing.

The page shows its navigation and a placeholder meanwhile, and Streamlit ends its script as soon as the user leaves. A
script that computes itself draws nothing and cannot be ended until it is done. The computed function caches its result,
such as `netloom.data.prepare`, so that the work of a page that was left is not lost.

This is for objects that the server needs in memory. Results that another process can send are jobs, which also leave
the interpreter lock to the pages; see `netloom.ui.shell.jobs`.

Other threads wait at most 11 ms for the interpreter meanwhile: `python -m tests.store.measures background`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

import streamlit as st

from netloom import jobs
from netloom.jobs import JobError
from netloom.ui.components.errors import show_error
from netloom.ui.shell.state import Key

R = TypeVar("R")
# Faster computations show no placeholder, which would only flicker.
PATIENCE_S, LOOK_EVERY_S = 0.1, 0.25
# In the colors of the light or the dark theme.
SKELETON = """
<style>
@keyframes netloom-pulse { 50% { opacity: 0.4 } }
.netloom-skeleton > div { background: light-dark(#ececf1, #22232e); border-radius: 0.55rem; margin-bottom: 1rem }
@media (prefers-reduced-motion: no-preference) {
  .netloom-skeleton > div { animation: netloom-pulse 1.6s ease-in-out infinite }
}
</style>
<div class="netloom-skeleton" aria-hidden="true">
  <div style="height: 2.5rem; width: 40%"></div><div style="height: 26rem"></div>
</div>
"""


def in_background(compute: Callable[[], R], text: str = "") -> R:
    """Return the result of a function that draws nothing, computed in a thread.

    `text` describes the work, such as "Reading the data …"; without it, there is no placeholder. Errors of the function
    are raised.
    """
    container = st.empty()  # always, so that following elements keep their positions
    future = _start(compute)
    if wait([future], PATIENCE_S).not_done:
        with container.container():
            if text:
                st.caption(text)
                st.html(SKELETON)
            end_container = st.empty()
        while wait([future], LOOK_EVERY_S).not_done:
            end_container.empty()  # drawing is where Streamlit ends an outdated script
        container.empty()
    try:
        return future.result()
    except JobError as error:
        show_error(error)
        st.button("Try again", icon=":material/replay:", key=Key.RESTART_JOB, on_click=jobs.pool().forget_failed)
        st.stop()


def _start(compute: Callable[[], R]) -> Future[R]:
    """Start a thread per call, not a pool, because reading data may take minutes and must not block others."""
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(compute())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="background", daemon=True).start()
    return future
