"""Jobs on a page: a worker computes, the page shows the progress, and a button cancels it.

The script of the page sleeps while it waits for the job. Streamlit ends it as soon as the user changes something or
closes the tab; the job has no watchers then, and the pool cancels it. A reloaded page finds the running job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import streamlit as st

from netloom import jobs
from netloom.jobs import Job, Request
from netloom.ui.shell import identity, session
from netloom.ui.shell.state import JobState, Key

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

R = TypeVar("R")
# Faster jobs show no progress bar, which would only flicker.
PATIENCE_S, SHOWN_EVERY_S = 0.3, 0.15


class Pending(Generic[R]):
    """A job that this page has requested. `text` describes the work, such as "Explaining …"."""

    def __init__(self, request: Request[R], text: str) -> None:
        self.request, self.text = request, text
        self.job = self._submitted()

    def preview(self, container: DeltaGenerator | None = None) -> R | None:
        """Wait for a preview of the result and return it; None if the job ended. `container` has the progress bar."""
        self._wait(Job.wait_preview, container)
        return None if self.job.ended else self.job.preview

    def result(self, container: DeltaGenerator | None = None) -> R:
        """Wait for the result and return it. `container` contains the progress bar.

        Raises:
            JobError: the job was canceled, or its worker failed. Errors of the request's `compute` are raised as well.
        """
        self._wait(Job.wait, container)
        return self.job.result()

    def previews(self, every_s: float = 0.08) -> Iterator[R]:
        """Yield each preview that arrives, at most one per `every_s` seconds, until the job has ended."""
        shown: R | None = None
        with self.job.watched():
            end_container = st.empty()
            while not self.job.wait(every_s):
                preview = self.job.preview
                if preview is None or preview is shown:
                    end_container.empty()  # drawing is where Streamlit ends an outdated script
                    continue
                shown = preview
                yield preview

    def _submitted(self) -> Job[R]:
        return jobs.pool().submit(self.request, session.store().home, identity.owner())

    def _wait(self, ready: Callable[[Job[R], float], bool], container: DeltaGenerator | None) -> None:
        self._wait_once(ready, container)
        if self.job.abandoned:  # while this page drew something else for a long time
            self.job = self._submitted()
            self._wait_once(ready, container)

    def _wait_once(self, ready: Callable[[Job[R], float], bool], container: DeltaGenerator | None) -> None:
        if ready(self.job, 0):
            return
        with self.job.watched():
            placeholder = container.empty() if container is not None else st.empty()
            started_at, bar = monotonic(), None
            while not ready(self.job, SHOWN_EVERY_S):
                if monotonic() - started_at < PATIENCE_S:
                    placeholder.empty()  # drawing is where Streamlit ends an outdated script
                    continue
                if bar is None:
                    with placeholder.container(horizontal=True, vertical_alignment="center"):
                        bar = st.empty()
                        # With the time, because a page can wait for a job twice: for its preview and for its result.
                        key = Key.CANCEL_JOB.of(self.job.number, monotonic())
                        st.button("Cancel", icon=":material/close:", key=key, on_click=self._cancel, width="content")
                waiting = self.job.state == "waiting"
                share = min(max(self.job.share, 0.0), 1.0)
                caption = (
                    "Waiting for a free worker …" if waiting else f"{self.text} {share:.0%}" if share else self.text
                )
                bar.progress(share, caption)
            placeholder.empty()

    def _cancel(self) -> None:
        jobs.pool().cancel(self.job)
        JobState.current().cancelled = self.job.key


def ask(request: Request[R], text: str = "Explaining …") -> Pending[R]:
    """Start a job. If the user has just canceled it in this tab, the page shows that and ends here."""
    home = session.store().home
    state = JobState.current()
    if state.cancelled and state.cancelled == request.key(home):
        state.cancelled = ""
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("You canceled this.", width="content")
            st.button("Restart", icon=":material/replay:", key=Key.RESTART_JOB)
        st.stop()
    return Pending(request, text)


def prefetch(request: Request[Any]) -> None:
    """Start a job whose result the user probably needs next, if a worker is idle."""
    jobs.pool().prefetch(request, session.store().home, identity.owner())


def computed(request: Request[R], text: str = "Explaining …", container: DeltaGenerator | None = None) -> R:
    """Return the result of a request, with a progress bar meanwhile. Raises the errors of `Pending.result`."""
    return ask(request, text).result(container)


def downloaded(request: Request[R]) -> R:
    """Return the result of a request for a download, without a progress bar: a page cannot draw during a download.

    Raises the errors of `Pending.result`.
    """
    return jobs.computed(request, session.store().home, identity.owner())


def computed_all(requests: Iterable[Request[R]], text: str = "Explaining …") -> list[R]:
    """Return the results of several requests, computed in parallel. Raises the errors of `Pending.result`."""
    pending = [ask(request, text) for request in requests]
    with ExitStack() as watching:
        for job_pending in pending:
            # All are watched while the first is awaited, or the pool would cancel the others
            watching.enter_context(job_pending.job.watched())
        return [pending_request.result() for pending_request in pending]
