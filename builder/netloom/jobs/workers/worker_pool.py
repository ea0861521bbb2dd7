"""The workers of this server, and the order of jobs.

Each lane has its own processes, so that an attack of minutes never delays a click; within a lane, owners take turns.
Equal requests are computed once. Answers stay in memory for a while. Computations that must outlive the server save
their results in the folder of the run, and read them when the same request returns.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from netloom.jobs.job import PREFETCH_S, Job
from netloom.jobs.request import Lane, Request
from netloom.jobs.workers import processes
from netloom.jobs.workers.failures import cancelled
from netloom.jobs.workers.lanes import LaneSettings, lanes
from netloom.jobs.workers.worker_thread import WorkerThread
from netloom.sandbox import messages

R = TypeVar("R")
MAX_ANSWERS_BYTES = 256 * 2**20
# The pool knows when each of these owners was served. It forgets the one served longest ago, who has the first turn
# either way.
MAX_OWNERS = 1_000
# An error is returned again for this time, such as to a page that is rerun; later, the job is retried.
FAILED_S = 5.0

_pool: Pool | None = None
_opening = threading.Lock()


class Pool:
    """The jobs of this server, and the threads that communicate with its workers."""

    def __init__(self, sizes: Mapping[Lane, LaneSettings] | None = None) -> None:
        self.lanes = dict(sizes or lanes())
        self._lock = threading.RLock()
        self._jobs: OrderedDict[str, Job[Any]] = OrderedDict()
        self._waiting: dict[Lane, list[Job[Any]]] = {lane: [] for lane in self.lanes}
        self._workers: dict[Lane, list[WorkerThread]] = {lane: [] for lane in self.lanes}
        self._last_served: OrderedDict[str, int] = OrderedDict()
        self._count = 0

    def warm(self) -> None:
        """Start the minimum number of workers."""
        with self._lock:
            for lane, sizes in self.lanes.items():
                while len(self._workers[lane]) < sizes.least:
                    self._grow(lane)

    def submit(self, request: Request[R], home: Path, owner: str = "") -> Job[R]:
        """Return the job of a request, which can be active or complete already."""
        key = request.key(home)
        with self._lock:
            existing = self._jobs.get(key)
            if existing is not None and not self._is_stale(existing):
                self._jobs.move_to_end(key)
                existing.touch()
                return existing
            self._count += 1
            job = Job(request, home, owner, self._count, key)
            self._jobs[key] = job
            self._waiting[request.lane].append(job)
            self._dispatch(request.lane)
            return job

    def prefetch(self, request: Request[Any], home: Path, owner: str = "") -> None:
        """Compute a request that is likely to follow, so that a worker has the run loaded by then. Does nothing if all
        workers are busy; other jobs take the place of a prefetched one that nobody waits for."""
        with self._lock:
            is_idle = any(worker.job is None and not worker.closing for worker in self._workers[request.lane])
            if is_idle and request.key(home) not in self._jobs:
                job = self.submit(request, home, owner)
                job.linger_s, job.left = PREFETCH_S, True

    def cancel(self, job: Job[Any]) -> None:
        """Cancel a job for all who wait for it."""
        with self._lock:
            job.cancel_asked = True
            waiting = self._waiting[job.request.lane]
            if job in waiting:
                waiting.remove(job)
                job.fail(cancelled())

    def forget_failed(self) -> None:
        """Compute requests that failed again when they are submitted."""
        with self._lock:
            for job in [job for job in self._jobs.values() if job.state == "failed"]:
                del self._jobs[job.key]

    def forget_loaded(self) -> None:
        """Let all workers remove their loaded runs, because data was removed."""
        with self._lock:
            processes = [worker.process for workers in self._workers.values() for worker in workers]
        for process in processes:
            if process is not None:
                with contextlib.suppress(messages.ClosedError):
                    process.send({"forget": True})

    def worker_pids(self, lane: Lane) -> list[int]:
        """Return the ids of the processes of a lane."""
        with self._lock:
            return [worker.process.pid for worker in self._workers[lane] if worker.process is not None]

    def close(self) -> None:
        """End all workers and their jobs."""
        with self._lock:
            for job in self._jobs.values():
                job.cancel_asked = True
            for workers in self._workers.values():
                for worker in workers:
                    worker.close()

    def _is_stale(self, job: Job[Any]) -> bool:
        """Return whether a job cannot serve further requests, so that a new one is created."""
        if job.state == "failed":
            return time.monotonic() - job.ended_at > FAILED_S
        return job.state == "cancelled" or job.cancel_asked

    def _dispatch(self, lane: Lane) -> None:
        """Give waiting jobs to idle workers, preferably one that has the run loaded."""
        waiting = self._waiting[lane]
        for job in [job for job in waiting if job.unwatched_s() > job.linger_s]:
            waiting.remove(job)
            job.abandoned = True
            job.fail(cancelled())
        while waiting:
            idle = [worker for worker in self._workers[lane] if worker.job is None and not worker.closing]
            if not idle:
                if len(self._workers[lane]) >= self.lanes[lane].most:
                    return
                idle = [self._grow(lane)]
            job = self._next(lane)
            about = job.request.about
            # Otherwise the worker that was used last, so that the others stay idle and can end.
            worker = max(
                idle, key=lambda idle_worker: (about is not None and about in idle_worker.loaded, idle_worker.used_at)
            )
            waiting.remove(job)
            self._last_served[job.owner] = job.number
            self._last_served.move_to_end(job.owner)
            if len(self._last_served) > MAX_OWNERS:
                self._last_served.popitem(last=False)
            worker.take(job)  # under the lock, so that `retire` cannot remove the worker at the same time

    def _next(self, lane: Lane) -> Job[Any]:
        """Return the next job: the first job of each owner precedes second ones; among equals, the owner that was
        served longest ago."""
        busy = Counter(worker.job.owner for worker in self._workers[lane] if worker.job is not None)
        return min(
            self._waiting[lane], key=lambda job: (busy[job.owner], self._last_served.get(job.owner, 0), job.number)
        )

    def _grow(self, lane: Lane) -> WorkerThread:
        worker = WorkerThread(self, lane, self.lanes[lane])
        self._workers[lane].append(worker)
        return worker

    # The following methods are called by the threads of the workers.

    def crowded(self, lane: Lane) -> bool:
        """Return whether a job waits for a worker."""
        return bool(self._waiting[lane])

    def free(self, worker: WorkerThread) -> None:
        """Mark a worker as idle."""
        with self._lock:
            self._trim()
            self._dispatch(worker.lane)

    def retire(self, worker: WorkerThread) -> bool:
        """Return whether an idle worker can end, and remove it then. Its job is checked again under the lock."""
        with self._lock:
            workers = self._workers[worker.lane]
            if not worker.closing and (worker.job is not None or len(workers) <= worker.settings.least):
                return False
            workers.remove(worker)
            return True

    def _trim(self) -> None:
        """Remove the answers that were handed over. If the others exceed the memory limit all together, remove those
        that were requested longest ago."""
        for job in [job for job in self._jobs.values() if job.request.handed_over and job.state == "done"]:
            del self._jobs[job.key]
        ended = [job for job in self._jobs.values() if job.ended]  # `submit` moves a requested answer to the end
        total_bytes = sum(job.size for job in ended)
        for job in ended:
            if total_bytes <= MAX_ANSWERS_BYTES and len(self._jobs) <= 2_000:  # many small answers count, too
                return
            if self._jobs.get(job.key) is job:
                del self._jobs[job.key]
            total_bytes -= job.size


def pool() -> Pool:
    """Return the pool of this process."""
    global _pool
    with _opening:
        if _pool is None:
            _pool = Pool()
        return _pool


def computed(request: Request[R], home: Path, owner: str = "") -> R:
    """Wait for the result of a request and return it.

    Raises:
        JobError: the job was canceled, or its worker failed. Errors of the request's `compute` are raised as well.
    """
    job = pool().submit(request, home, owner)
    with job.watched():
        while not job.wait(60):
            pass
    if job.abandoned:  # by others, just before it was watched here
        return computed(request, home, owner)
    return job.result()


def warm() -> None:
    """Start workers for the first job in advance."""
    processes.warm()
    pool().warm()


def is_warm(timeout: float = 0) -> bool:
    """Return whether the first job can start at once, or can within `timeout` seconds."""
    return processes.is_warm(timeout)
