"""Starting, controlling and monitoring runs. A run is a process with a folder, independent of the process that started
it."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netloom.core.processes import is_running
from netloom.data.preparation.preprocess import Preprocess
from netloom.document import Project
from netloom.document.optimizer_settings import SCHEDULES
from netloom.runs import cluster, distillation, processes
from netloom.runs.frozen_project import compiled, deleted_on_failure, freeze
from netloom.runs.history.records import keep_record
from netloom.runs.processes import MODULE, Worker
from netloom.runs.resources.capacity import gpus, limits
from netloom.runs.resources.limits import declared, no_memory
from netloom.store import ClaimLostError, Run, Store
from netloom.store.host import current_host, named
from netloom.store.run_end import RunEnd
from netloom.store.run_summary import Branch, Compressed, RunOrigin
from netloom.store.states import WITH_WORKER
from netloom.training.speed.device import threads
from netloom.training.weights.initialization import check_intact, check_start, verified_weights

ACTIVE = ("waiting", *WITH_WORKER)
# The time between the claim of a run and the start of its worker, after which the claiming process is taken to be dead.
STARTING_S = 3.0
# The silence after which a worker on another machine is taken to be lost.
SILENCE_S = 60.0
# The time for a worker to save and end after its time limit, before it is killed.
GRACE_S = 60.0
# No imports for the next run in this time after a start: they would slow down the first steps of the run.
ALONE_S = 5.0

# Workers that this process started, so that their exit codes can be read and no zombie stays.
_children: dict[str, Worker] = {}
# The time of the last start of a worker per store, by the monotonic clock of this process.
_last_starts: dict[Path, float] = {}
# Held while a worker that is gone is handled, so that only one thread does so
_recovery_lock = threading.Lock()
# Per run on another machine: its last heartbeat, and when this process first saw it, by its monotonic clock.
_last_heartbeats: dict[str, tuple[Any, float]] = {}


def start(
    store: Store,
    project_id: str,
    project: Project,
    *,
    title: str = "",
    owner: str = "",
    tags: Sequence[str] = (),
    about: RunOrigin | None = None,
    weights: Path | None = None,
    fitted: Preprocess | None = None,
    workers: int = 0,
    worker_host: str = "",
) -> str:
    """Freeze a project into the folder of a run and add the run to the queue. Its worker starts at once if there is
    room.

    Args:
        weights: A file of initial weights, instead of the initialization in the project.
        fitted: The fitted state of an earlier run, which preprocesses the data instead of one that is fitted on it.
        workers: The number of workers on the Ray cluster; 0: train in a process on this machine.
        worker_host: Where the caller starts the worker itself; the run is not queued then.

    Returns the id of the run.

    Raises:
        CompileError: the network has errors, or does not match the data; `issues` lists them.
        DataError: the data cannot be read.
        StartError: the initial weights are missing or do not match, or the project cannot be trained on a cluster.
        QueueFullError: the owner has as many waiting runs as the limit allows.
    """
    if workers:
        cluster.check(project, workers)
        about = (about or RunOrigin()).merged(RunOrigin(backend=cluster.RAY, workers=workers))
    project, text = compiled(store, project, fitted)
    initial_weights = _initial_weights(store, project, text, weights)
    teacher = distillation.find_teacher(store, project, about)
    if not worker_host:
        store.free_run_count(owner, limits())  # fails early, before anything is written; `create_run` checks again
    run_id = str(uuid.uuid4())
    artifacts = store.artifacts(run_id)
    artifacts.create()
    with deleted_on_failure(artifacts):
        freeze(artifacts, project, text, initial_weights, teacher, fitted)
        if about is not None and isinstance(about.start, (Branch, Compressed)):
            artifacts.chat.copy_from(store.artifacts(about.start.run).chat)
        store.create_run(
            project_id,
            project,
            title,
            run_id=run_id,
            owner=owner,
            tags=tags,
            about=about,
            worker_host=worker_host,
            limits=limits(),
        )
        keep_record(store, run_id)
    advance(store)
    return run_id


def _initial_weights(store: Store, project: Project, source: str, weights: Path | None) -> Path | None:
    """Return the file of the initial weights: `weights`, or the one that the project names; None if it names none.

    Raises:
        StartError: they are missing or do not match.
    """
    if weights is not None:
        return check_intact(weights)
    check_start(store, project, source)  # the run that the document starts from may have been deleted since
    return verified_weights(store, project)


def requeue(
    store: Store,
    run: Run,
    *,
    owner: str | None = None,
    reopen: bool = False,
    about: RunOrigin | None = None,
    prepare: Callable[[], object] | None = None,
) -> None:
    """Add a run that ended to the queue again, for `owner`, by default for the owner of the run. A finished run needs
    `reopen`. Merging `about` into its origin and calling `prepare` happen in the same transaction.

    Raises:
        StoreError: the queue of the owner is full, the run is active, or it changed since `run` was read.
    """
    origin = about or RunOrigin()
    if run.about.halted:
        origin = origin.merged(RunOrigin(halted=False))
    store.enqueue(run, reopen=reopen, owner=owner, about=origin, limits=limits(), prepare=prepare)
    keep_record(store, run.id)
    advance(store)


def advance(store: Store) -> None:
    """Start the workers of the runs that are next in the queue. Any process can call this at any time; each run is
    started only once."""
    while (run := store.claim_next(limits())) is not None:  # a transaction, so that no other process gets the same run
        _spawn(store, run)


def pause(store: Store, run_id: str) -> None:
    """Request that the worker saves a checkpoint and waits."""
    store.command(run_id, "pause")


def resume_paused(store: Store, run_id: str) -> None:
    """Let a paused worker continue."""
    store.command(run_id, "resume")


def stop(store: Store, run_id: str) -> None:
    """Request that the worker saves a checkpoint and ends; a waiting run leaves the queue."""
    if store.leave_line(run_id):
        keep_record(store, run_id)
    else:
        store.command(run_id, "stop")


def set_learning_rate(store: Store, run_id: str, value: float) -> None:
    """Change the learning rate of a running worker between two steps.

    Raises:
        ValueError: the rate is not above 0 and at most 10.
    """
    if not 0 < value <= 10:
        raise ValueError(f"The learning rate must be above 0 and at most 10, received {value:g}.")
    store.command(run_id, "learning_rate", value)


def set_schedule(store: Store, run_id: str, name: str) -> None:
    """Change the learning rate schedule of a running worker between two steps.

    Raises:
        ValueError: there is no such schedule.
    """
    if name not in SCHEDULES:
        raise ValueError(f"There is no schedule {name[:30]!r}; choose one of {', '.join(SCHEDULES)}.")
    store.command(run_id, "schedule", text=name)


def started_workers() -> dict[str, Worker]:
    """Return the workers that this process started and whose end it has not observed, by run id."""
    return dict(_children)


def check_workers(store: Store) -> None:
    """End the runs whose worker is gone."""
    mine, active = started_workers(), store.active_runs()
    for run in active:
        if run.state != "waiting" and (run.pid or run.claim):
            check_run(store, run)
    for run_id in set(mine) - {run.id for run in active}:  # deleted runs are no longer in the list, but leave zombies
        _collect_exit_code(run_id)


def check_run(store: Store, run: Run) -> Run:
    """Return the current state of a run, after checking its worker."""
    if run.state not in ACTIVE:
        _collect_exit_code(run.id)
        _last_heartbeats.pop(run.id, None)
        return run
    if run.host not in (None, current_host()):
        return _check_remote(store, run)
    if _alive(run):
        return _end_late(store, run)
    with _recovery_lock:  # with two threads, the second could not read the exit code
        again = store.run(run.id)  # the worker can have ended properly since `run` was read
        if again.state not in ACTIVE or again.state == "waiting" or _alive(again):
            return again
        if again.pid is None and again.claim is not None:
            store.give_back(again)  # the process that claimed it died before it started a worker
        else:
            end = _worker_end(store, again)
            if again.pid is not None:
                processes.end_group(store.home, again.pid)  # also end the processes that the worker started
            _end_run(store, again, end)
            _forget_child(again)  # only after `_worker_end` has read the exit code and the end is stored
    return store.run(run.id)


def _end_run(store: Store, run: Run, end: RunEnd) -> None:
    """End a run whose worker is gone. Does nothing if another server did so first, because the run may have been queued
    again since and have another worker."""
    with contextlib.suppress(ClaimLostError):
        store.end_run(run.id, end, holding=run.claim)
        keep_record(store, run.id, curves=True)


def _check_remote(store: Store, run: Run) -> Run:
    """Return the current state of a run on another machine; only its heartbeat is known. Clocks of machines
    differ, so the time limit counts from when this process first saw the last heartbeat."""
    word = (run.claim, run.heartbeat_at)
    last_word, since = _last_heartbeats.get(run.id, (None, 0.0))
    if last_word != word:
        _last_heartbeats[run.id] = (word, time.monotonic())
        return run
    if time.monotonic() - since < SILENCE_S:
        return run
    with _recovery_lock:
        again = store.run(run.id)
        if (again.claim, again.heartbeat_at) != word or again.state not in WITH_WORKER:
            return again
        if again.pid is None:
            store.give_back(again)
        else:
            reason = (
                f"The machine {named(str(run.host))} that trained this run has not responded for {SILENCE_S:g} "
                "seconds; it was switched off, or lost its connection to the database. Resume the run to continue from "
                "its last checkpoint."
            )
            _end_run(store, again, RunEnd("lost", reason))
    return store.run(run.id)


def _end_late(store: Store, run: Run) -> Run:
    """Kill a worker that does not end after its time limit, because it hangs in a step."""
    limits = declared()
    since = run.started_at if run.claimed_at is None else run.claimed_at
    if not limits.wall_s or since is None or run.pid is None:
        return run
    if (datetime.now(UTC) - since).total_seconds() < limits.wall_s + GRACE_S:
        return run
    processes.end_group(store.home, run.pid)
    with _recovery_lock:
        _end_run(store, run, RunEnd("failed", limits.too_long))
    return store.run(run.id)


def warm(store: Store) -> None:
    """Import everything for the next run in advance, so that it starts at once. Waits a few seconds after a start;
    callers that monitor the run call this again."""
    if time.monotonic() - _last_starts.get(store.home, -ALONE_S) >= ALONE_S:
        processes.warm(store.home)


def _spawn(store: Store, run: Run) -> None:
    """Start the worker of a run that this process has claimed."""
    _last_starts[store.home] = time.monotonic()
    child = processes.acquire_worker(store.home)
    # Before the store has the process id: a thread that reads it there needs the child for its exit code.
    _children[run.id] = child
    if not store.set_worker(run.id, str(run.claim), child.pid):
        # This process was suspended for so long that another one claimed the run.
        del _children[run.id]
        processes.forget(child)
        return
    count = sum(
        1 for active in store.active_runs() if active.state != "waiting" and active.host in (None, current_host())
    )
    names = gpus()
    gpu = names[run.gpu] if run.gpu is not None and run.gpu < len(names) else None
    log = str(store.artifacts(run.id).worker_log)
    message = {"run": run.id, "claim": run.claim, "threads": threads(count), "runs": count, "log": log, "gpu": gpu}
    processes.assign(child, {**message, "limits": declared().as_json()})


def _alive(run: Run) -> bool:
    child = _children.get(run.id)
    if child is not None and child.pid == run.pid:
        with contextlib.suppress(ChildProcessError):
            return child.poll() is None
    if run.pid is None:
        return (datetime.now(UTC) - (run.claimed_at or run.created_at)).total_seconds() < STARTING_S
    return is_running(run.pid, MODULE)


def _collect_exit_code(run_id: str) -> None:
    child = _children.get(run_id)
    with contextlib.suppress(ChildProcessError):
        if child is None or child.poll() is None:  # `poll` reaps the zombie
            return
    _children.pop(run_id, None)  # another thread can have removed it


def _forget_child(run: Run) -> None:
    """Forget the worker of a run that has ended, unless the run has a new worker by now."""
    child = _children.get(run.id)
    if child is not None and child.pid == run.pid:
        _children.pop(run.id, None)


def _worker_end(store: Store, run: Run) -> RunEnd:
    """Return how the run of a worker that is gone ended, from its exit code and the last line of its log.

    The code is known only to the process that started the worker.
    """
    child = _children.get(run.id)
    code = child.returncode if child and child.pid == run.pid else None
    last = _last_log_line(store.artifacts(run.id).worker_log, child)
    if code == -9:
        return _lost("was killed (signal 9), by someone or because the machine ran out of memory.")
    if no_memory(last):
        return RunEnd("failed", declared().too_much_memory)
    if code is not None and code < 0:
        return _lost(f"was ended by signal {-code}.{last}")
    if code:
        return _lost(f"ended with exit code {code}.{last}")
    return _lost(f"ended without an error message: it was killed, or the machine was restarted.{last}")


def _lost(predicate: str) -> RunEnd:
    return RunEnd("lost", f"The worker process {predicate}")


def _last_log_line(log: Path, child: Worker | None) -> str:
    """Return the last line that a worker wrote to the log of its run, or before it received that; "" without a line."""
    text = ""
    with contextlib.suppress(OSError):
        text = log.read_text(errors="replace").strip()
    lines = (text or (processes.early_output(child).strip() if child else "")).splitlines()
    return f" Its last output: {lines[-1][:300]}" if lines else ""
