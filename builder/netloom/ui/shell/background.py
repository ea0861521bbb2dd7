"""Work beside the script of a page, in a thread of the web server: reading data, checking a network, importing.

The page has its navigation and a placeholder meanwhile, and Streamlit ends the script as soon as somebody leaves: a
script that computes itself draws nothing and obeys nothing until it is done. The result is kept by whoever computes it,
such as `netloom.data.prepare`, so that the work of a page that was left is not lost.

This is for what other parts of the server need in memory. What can be sent from another process is a job, which leaves
the interpreter lock to the pages as well; see `netloom.ui.shell.jobs`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

import streamlit as st

R = TypeVar("R")
# What is done sooner shows no placeholder, which would only flicker.
PATIENCE_S, LOOK_EVERY_S = 0.1, 0.1
# In the colors of the theme, whichever it is.
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
    """The result of a function that shows nothing itself. `text` says what is done, such as "Reading the data …";
    without one, there is no placeholder.

    Raises:
        What the function raises.
    """
    place = st.empty()  # always, so that what follows stays where it is on the page
    future = _start(compute)
    if wait([future], PATIENCE_S).not_done:
        with place.container():
            if text:
                st.caption(text)
                st.html(SKELETON)
            end_here = st.empty()
        while wait([future], LOOK_EVERY_S).not_done:
            end_here.empty()  # Streamlit ends a script that is not wanted any more as it draws
        place.empty()
    return future.result()


def _start(compute: Callable[[], R]) -> Future[R]:
    """A thread for each call, rather than a pool: reading data may take minutes, and must not keep others waiting."""
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(compute())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="background", daemon=True).start()
    return future
