"""A job as seen by those who wait for it: its progress, preview and result."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Literal, TypeVar

from netloom.core.errors import JobError
from netloom.jobs.request import Request

R = TypeVar("R")
State = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
# A page that is reloaded, or rerun after another interaction, returns within this time.
LINGER_S = 5.0
# A prefetched job waits this long for somebody to want its answer.
PREFETCH_S = 60.0


class JobCancelledError(JobError):
    """A user cancelled the job, or nobody watched it."""


class Job(Generic[R]):
    """A submitted request. It belongs to the pool and not to its first owner: others can join, and it runs as long as
    anybody watches. Only the pool changes it.

    Attributes: `share` is the progress from 0 to 1; `preview` a first answer, while the rest is computed; `size` the
    bytes of the answer; `worker` the id of the process that computes it; `left` whether all watchers have left;
    `linger_s` the seconds without watchers after which it is cancelled; `abandoned` whether that has happened.
    """

    def __init__(self, request: Request[R], home: Path, owner: str, number: int, key: str) -> None:
        self.request, self.home, self.owner, self.number, self.key = request, home, owner, number, key
        self.state: State = "waiting"
        self.share, self.size, self.worker = 0.0, 0, 0
        self.preview: R | None = None
        self.cancel_asked = self.left = self.abandoned = False
        self.linger_s = LINGER_S
        self.started_at = self.ended_at = 0.0
        self._answer: R | None = None
        self._error: Exception | None = None
        self._watchers, self._unwatched_since = 0, time.monotonic()
        self._changed = threading.Condition()

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def wait(self, seconds: float) -> bool:
        """Return whether it ends within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self.ended, seconds)

    def wait_preview(self, seconds: float) -> bool:
        """Return whether a preview arrives, or the job ends, within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self.ended or self.preview is not None, seconds)

    def result(self) -> R:
        """Return the answer of a job that has ended.

        Raises:
            JobCancelledError: it was cancelled.
            JobError: its process died, or Netloom itself failed.
            Exception: an error with a sentence for the user, as raised by the request's `compute`.
        """
        if self._error is not None:
            raise self._error
        if self._answer is None:
            raise JobError("The job has not ended yet.")
        return self._answer

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Context of a watcher. Soon after the last watcher has left, the job is cancelled."""
        with self._changed:
            self._watchers += 1
            self.left, self.linger_s = False, LINGER_S
        try:
            yield
        finally:
            with self._changed:
                self._watchers -= 1
                self.left = not self._watchers  # unlike a job that is submitted and not watched yet
                self._unwatched_since = time.monotonic()

    def touch(self) -> None:
        """Postpone the cancellation of an unwatched job, which somebody is about to watch, by `LINGER_S`."""
        with self._changed:
            self._unwatched_since = time.monotonic()

    def unwatched_s(self) -> float:
        """Return the seconds since the last watcher left; 0 while there is one."""
        with self._changed:
            return 0.0 if self._watchers else time.monotonic() - self._unwatched_since

    def start(self, worker: int) -> None:
        with self._changed:
            self.state, self.worker, self.started_at = "running", worker, time.monotonic()
            self._changed.notify_all()

    def tell(self, share: float) -> None:
        """Set the progress, which never decreases."""
        self.share = max(self.share, share)

    def show(self, preview: R) -> None:
        with self._changed:
            self.preview = preview
            self._changed.notify_all()

    def finish(self, answer: R, size: int) -> None:
        with self._changed:
            self._answer, self.size = answer, size
            self._end("done")

    def fail(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._end("cancelled" if isinstance(error, JobCancelledError) else "failed")

    def _end(self, state: State) -> None:
        # The answer replaces the preview, which need not stay in memory.
        self.state, self.ended_at, self.preview = state, time.monotonic(), None
        self._changed.notify_all()
