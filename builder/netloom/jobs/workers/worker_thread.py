"""A worker of the pool: a thread of this server that communicates with one process."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

from netloom.core.errors import JobError
from netloom.core.settings import PREFIX
from netloom.jobs.handover import Handover
from netloom.jobs.job import Job
from netloom.jobs.loaded_runs import MAX_LOADED, RunWeights
from netloom.jobs.request import Lane
from netloom.jobs.workers.failures import (
    cancelled,
    ended_process_error,
    reported_error,
    time_limit_error,
    unexpected_error,
)
from netloom.jobs.workers.lanes import LaneSettings, memory_limit
from netloom.jobs.workers.processes import WorkerProcess, WorkerSettings
from netloom.sandbox import messages
from netloom.training.speed.device import threads

# A job that does not react to cancellation within this time is ended with its process.
OBEY_S = 2.0
# If other jobs wait for a worker, an unwatched job is cancelled after this time.
MAKE_ROOM_S = 0.3
POLL_S = 0.2
# The time for the rest of a message after its first byte; answers can be large.
MESSAGE_S = 60.0
# A worker above the minimum of its lane ends after this time without a job.
IDLE_S = 120.0


class JobSource(Protocol):
    """What gives jobs to workers: a `Pool`. Its methods are called by the threads of the workers."""

    def crowded(self, lane: Lane) -> bool:
        """Return whether a job waits for a worker."""

    def free(self, worker: WorkerThread) -> None:
        """Mark a worker as idle."""

    def retire(self, worker: WorkerThread) -> bool:
        """Return whether an idle worker can end, and remove it then."""


class WorkerThread:
    """A thread of this server that communicates with one process, and replaces it if it has ended."""

    def __init__(self, pool: JobSource, lane: Lane, settings: LaneSettings) -> None:
        self.pool, self.lane, self.settings = pool, lane, settings
        self.process: WorkerProcess | None = None
        self.job: Job[Any] | None = None
        self.loaded: OrderedDict[RunWeights, None] = OrderedDict()
        self.used_at = 0.0
        self.closing = False
        self._woken = threading.Condition()
        threading.Thread(target=self._work, name=f"{lane} jobs", daemon=True).start()

    def take(self, job: Job[Any]) -> None:
        with self._woken:
            self.job = job
            self._woken.notify()

    def close(self) -> None:
        with self._woken:
            self.closing = True
            self._woken.notify()

    def _work(self) -> None:
        while True:
            if self.process is None and not self.closing:
                self._start()
            with self._woken:
                self._woken.wait_for(lambda: self.job is not None or self.closing, IDLE_S)
            job = self.job
            if job is not None:
                try:
                    self._compute(job)
                except Exception as error:  # the thread must continue, and the error belongs to the job
                    job.fail(unexpected_error(job.home, error))
                    self._stop()
                self.used_at, self.job = time.monotonic(), None
                self.pool.free(self)
            elif self.pool.retire(self):
                self._stop()
                return

    def _start(self) -> None:
        self.loaded.clear()
        with contextlib.suppress(OSError):  # retried with the next job
            self.process = WorkerProcess(WorkerSettings(threads(), self.settings.niceness, memory_limit()))

    def _stop(self) -> int | None:
        process, self.process = self.process, None
        return process.end() if process is not None else None

    def _compute(self, job: Job[Any]) -> None:
        """Compute a job in the process, and handle its end."""
        if job.cancel_asked:
            return job.fail(cancelled())
        if self.process is not None and not self.process.is_alive():
            self._stop()  # killed while it was idle, for example because the machine ran out of memory
        if self.process is None:
            self._start()
        if self.process is None:
            return job.fail(JobError("No process could be started for this; the machine has no room for one."))
        job.start(self.process.pid)
        variables = {name: text for name, text in os.environ.items() if name.startswith(PREFIX)}
        message = {"job": job.number, "kind": job.request.kind, "home": str(job.home), "environment": variables}
        try:
            self.process.send(message, job.request.as_bytes())
            self._listen(job, self.process)
        except messages.ClosedError:
            job.fail(ended_process_error(self.process.exit_code()))
            self._stop()
        # The process caches the runs that it loaded in the same order, see `loaded_runs.load`.
        about = job.request.about
        if self.process is not None and about is not None:
            self.loaded[about] = None
            self.loaded.move_to_end(about)
            while len(self.loaded) > MAX_LOADED:
                self.loaded.popitem(last=False)

    def _listen(self, job: Job[Any], process: WorkerProcess) -> None:
        """Handle messages of the process until the job has ended.

        Raises:
            ClosedError: the process has ended.
        """
        incoming = select.poll()
        incoming.register(process.channel, select.POLLIN)
        cancelled_at = 0.0
        while True:
            if not cancelled_at and self._is_abandoned(job):
                job.abandoned = not job.cancel_asked and not self.closing
                job.cancel_asked, cancelled_at = True, time.monotonic()
                process.send({"cancel": job.number})
            too_long = time.monotonic() - job.started_at > self.settings.wall_s
            if too_long or (cancelled_at and time.monotonic() - cancelled_at > OBEY_S) or self.closing:
                job.fail(time_limit_error(self.settings.wall_s) if too_long else cancelled())
                self._stop()
                return
            if not incoming.poll(POLL_S * 1000):  # also checks for cancellation while the process is silent
                continue
            message, blobs = messages.receive(process.channel, time.monotonic() + MESSAGE_S, most=None)
            sizes = message.get("sizes", [])
            file = messages.receive_file(process.channel, time.monotonic() + MESSAGE_S) if sizes else None
            answer = Handover(blobs[0] if blobs else b"", sizes, file)
            if message["job"] != job.number:
                answer.close()
            elif "progress" in message:
                job.tell(float(message["progress"]))
            elif "preview" in message:
                job.show(job.request.read_answer(answer))
            else:
                return self._end(job, message, answer)

    def _is_abandoned(self, job: Job[Any]) -> bool:
        patience = MAKE_ROOM_S if job.left and self.pool.crowded(self.lane) else job.linger_s
        return job.cancel_asked or self.closing or job.unwatched_s() > patience

    def _end(self, job: Job[Any], message: Mapping[str, Any], answer: Handover) -> None:
        if "done" in message:
            job.finish(job.request.read_answer(answer), len(answer.content))
        elif "cancelled" in message:
            job.fail(cancelled())
        else:
            job.fail(reported_error(job.home, message))
            if message["failed"] != "refused":
                self._stop()  # memory is exhausted, or an unexpected error left an unknown state
