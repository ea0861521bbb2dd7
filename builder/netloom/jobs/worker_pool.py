"""The workers of this server, and the order of jobs.

Each lane has its own processes, so that an attack of minutes never delays a click; within a lane, owners take turns.
Equal requests are computed once. Answers stay in memory for a while. Computations that must outlive the server save
their results in the folder of the run, and read them when the same request returns.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
import traceback
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from netloom.core import log
from netloom.core.errors import JobError
from netloom.core.processor import cores
from netloom.core.settings import PREFIX, settings
from netloom.jobs import processes
from netloom.jobs.handover import Handover
from netloom.jobs.job import PREFETCH_S, Job, JobCancelledError
from netloom.jobs.loaded_runs import MAX_LOADED, RunWeights
from netloom.jobs.processes import NICENESS, WorkerProcess
from netloom.jobs.request import Lane, Request
from netloom.jobs.worker_settings import WorkerSettings
from netloom.runs.resources.limits import GB, memory, size
from netloom.sandbox import messages
from netloom.training.device import threads

R = TypeVar("R")
MAX_ANSWERS_BYTES = 256 * 2**20
# The pool knows when each of these owners was served. It forgets the one served longest ago, who has the first turn
# either way.
MAX_OWNERS = 1_000
# An error is returned again for this time, such as to a page that is rerun; later, the job is retried.
FAILED_S = 5.0
# A job that does not react to cancellation within this time is ended with its process.
OBEY_S = 2.0
# If other jobs wait for a worker, an unwatched job is cancelled after this time.
MAKE_ROOM_S = 0.3
POLL_S = 0.2
# The time for the rest of a message after its first byte; answers can be large.
MESSAGE_S = 60.0
# A worker above the minimum of its lane ends after this time without a job.
IDLE_S = 120.0
# Measuring the layers of a network takes milliseconds; only Python code in a document can take longer.
LAYERS_S = 60.0
CANCELLED = "This was cancelled."

_pool: Pool | None = None
_opening = threading.Lock()


@dataclass(frozen=True)
class LaneSettings:
    """The settings of a lane: its minimum and maximum number of processes, their priority, and the time limit of a job
    in seconds."""

    least: int
    most: int
    niceness: int
    wall_s: float


def lanes() -> dict[Lane, LaneSettings]:
    """Return the settings of lanes. NETLOOM_JOB_WORKERS is the limit of processes per lane, NETLOOM_JOB_HOURS the time
    limit of a job."""
    most = settings.job_workers or min(4, max(2, cores()))
    wall_s = settings.job_hours * 3600
    return {
        "interactive": LaneSettings(min(2, most), most, NICENESS, wall_s),
        "long": LaneSettings(0, most, 15, wall_s),
        "data": LaneSettings(1, most, NICENESS, wall_s),
        "layers": LaneSettings(1, 2, NICENESS, LAYERS_S),
    }


def memory_limit() -> int:
    """Return the memory limit of a job in bytes: NETLOOM_JOB_MEMORY_GB, or half of the memory."""
    return int((settings.job_memory_gb or 0) * GB) or max(GB, memory() // 2)


class Pool:
    """The jobs of this server, and the threads that communicate with its workers."""

    def __init__(self, sizes: Mapping[Lane, LaneSettings] | None = None) -> None:
        self.lanes = dict(sizes or lanes())
        self._lock = threading.RLock()
        self._jobs: OrderedDict[str, Job[Any]] = OrderedDict()
        self._waiting: dict[Lane, list[Job[Any]]] = {lane: [] for lane in self.lanes}
        self._workers: dict[Lane, list[_Worker]] = {lane: [] for lane in self.lanes}
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
                job.fail(JobCancelledError(CANCELLED))

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
            job.fail(JobCancelledError(CANCELLED))
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

    def _grow(self, lane: Lane) -> _Worker:
        worker = _Worker(self, lane, self.lanes[lane])
        self._workers[lane].append(worker)
        return worker

    # The following methods are called by the threads of the workers.

    def crowded(self, lane: Lane) -> bool:
        """Return whether a job waits for a worker."""
        return bool(self._waiting[lane])

    def free(self, worker: _Worker) -> None:
        """Mark a worker as idle."""
        with self._lock:
            self._trim()
            self._dispatch(worker.lane)

    def retire(self, worker: _Worker) -> bool:
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


class _Worker:
    """A thread of this server that communicates with one process, and replaces it if it has ended."""

    def __init__(self, pool: Pool, lane: Lane, settings: LaneSettings) -> None:
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
                    job.fail(_unexpected(job.home, error))
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
            return job.fail(JobCancelledError(CANCELLED))
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
            job.fail(self._died(self.process))
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
                job.cancel_asked, cancelled_at = True, time.monotonic()
                process.send({"cancel": job.number})
            too_long = time.monotonic() - job.started_at > self.settings.wall_s
            if too_long or (cancelled_at and time.monotonic() - cancelled_at > OBEY_S) or self.closing:
                job.fail(self._too_long() if too_long else JobCancelledError(CANCELLED))
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
            job.fail(JobCancelledError(CANCELLED))
        else:
            job.fail(_error(job.home, message))
            if message["failed"] != "refused":
                self._stop()  # memory is exhausted, or an unexpected error left an unknown state

    def _too_long(self) -> JobError:
        hours = f"{self.settings.wall_s / 3600:.3g}"
        return JobError(
            f"This was ended after {hours} hours, as long as a job may take here; ask for less, or set "
            "NETLOOM_JOB_HOURS."
        )

    def _died(self, process: WorkerProcess) -> JobError:
        code = process.exit_code()
        how = f" (signal {-code})" if code is not None and code < 0 else ""
        return JobError(
            f"The process that computed this ended unexpectedly{how}, perhaps because the machine ran out of memory. "
            "Another one has taken its place; try again."
        )


def _error(home: Path, message: Mapping[str, Any]) -> Exception:
    """Return an error from a worker, with its original class if that belongs to Netloom or to Python."""
    if message["failed"] == "memory":
        return JobError(
            f"This takes more memory than a job may have here, {size(memory_limit())}; ask for fewer rows, or set "
            "NETLOOM_JOB_MEMORY_GB."
        )
    module, name = message["class"]
    if message["failed"] == "fault":
        return _failed(home, name, str(message["details"]))
    if module.partition(".")[0] in ("netloom", "builtins"):
        kind = getattr(import_module(module), name, None)
        with contextlib.suppress(TypeError):  # the class takes other arguments than a message
            if isinstance(kind, type) and issubclass(kind, Exception):
                return kind(message["sentence"])
    return JobError(str(message["sentence"]))


def _unexpected(home: Path, error: Exception) -> JobError:
    return _failed(home, type(error).__name__, "".join(traceback.format_exception(error)))


def _failed(home: Path, name: str, details: str) -> JobError:
    """Return the error of a job in which Netloom itself failed; the details are written to the log."""
    path = home / log.ERRORS
    location = ""
    with contextlib.suppress(OSError):
        log.write(path, "error", where="job", traceback=details)
        location = f" The details are in {path}."
    return JobError(f"Netloom failed here ({name}).{location}")


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
    return job.result()


def warm() -> None:
    """Start workers for the first job in advance."""
    processes.warm()
    pool().warm()


def is_warm(timeout: float = 0) -> bool:
    """Return whether the first job can start at once, or can within `timeout` seconds."""
    return processes.is_warm(timeout)
