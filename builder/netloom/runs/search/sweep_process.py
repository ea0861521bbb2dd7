"""The process that advances the sweeps of a data folder, so that sweeps outlive the process that started them.

It records the results of trials, suggests and starts the next ones, and finishes sweeps; it ends with the last sweep.
No other process does so, because a web server that builds networks and samples values would respond slowly.

There is one such process per data folder, which holds a lock on a file; the system releases the lock however the
process ends. Any process that monitors runs (a server, a terminal, a worker that ends) starts another one if nobody
holds the lock. If two run for a moment, or one on each of several machines, the store still creates each trial only
once.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from filelock import FileLock, Timeout

from netloom.runs import control, processes
from netloom.runs.repeated_errors import RepeatedErrors
from netloom.runs.search.sweep_trials import advance_sweeps
from netloom.store import Store, open_store

LOCK_FILE, LOG_FILE = "sweeps.lock", "sweeps.log"
# The id of the process that held the lock last.
PID_FILE = "sweeps.pid"
# The interval between two checks, after which the next trial follows one that ended; a check takes some milliseconds.
POLL_S = 0.25
# The pause after a failed sweep process, because the cause will mostly end the next one, too.
RESTART_S = 5.0

_starting = threading.Lock()
# The last sweep process that this process started per data folder, and its start by the monotonic clock.
_started: dict[Path, tuple[processes.Worker, float]] = {}


def tend(store: Store) -> None:
    """Supervise all runs once: mark runs without a worker as failed, start the next ones in the queue, and start the
    process of active sweeps if there is none."""
    control.check_workers(store)
    ensure_sweep_process(store)
    control.advance(store)


def ensure_sweep_process(store: Store) -> None:
    """Start the process that advances sweeps, if one is needed and none runs."""
    if not store.sweeps(state="running"):
        return
    with _starting:
        if is_running(store.home) or not _may_start(store.home):
            return
        child = processes.acquire_worker(store.home)
        _started[store.home] = (child, time.monotonic())
    processes.assign(child, {"sweeps": True, "threads": 1, "log": str(store.home / LOG_FILE), "gpu": None})


def is_running(home: Path) -> bool:
    """Return whether a process on this machine advances the sweeps of a data folder."""
    try:
        with _lock(home).acquire(timeout=0):
            return False
    except Timeout:
        return True


def main(home: Path) -> int:
    """Advance sweeps until none is active. Returns the exit code."""
    store = open_store(home)
    # A sweep that starts after the last check, while the lock is still held, is detected by a check after the release.
    while _sweeps_run(store):
        try:
            with _lock(home).acquire(timeout=1):  # longer than `is_running` holds the lock for its test
                (home / PID_FILE).write_text(str(os.getpid()))
                _advance_until_finished(store)
        except Timeout:
            return 0
    return 0


def started_processes() -> list[processes.Worker]:
    """Return the last sweep process that this process started per data folder."""
    return [child for child, _ in _started.values()]


def _advance_until_finished(store: Store) -> None:
    errors = RepeatedErrors(store.home, "sweeps")
    while True:
        try:
            if not _sweeps_run(store):
                return
            control.check_workers(store)
            advance_sweeps(store)
            control.advance(store)
            errors.clear()
        except Exception as error:  # the database can be locked for a moment
            if not store.home.exists():
                return
            errors.log(error)
            time.sleep(1)
        time.sleep(POLL_S)


def _sweeps_run(store: Store) -> bool:
    return store.home.exists() and bool(store.sweeps(state="running"))


def _may_start(home: Path) -> bool:
    """Return whether a sweep process can be started: the last one, which has no lock, is not about to take it, and did
    not fail a moment ago."""
    if home not in _started:
        return True
    child, started_at = _started[home]
    try:
        code = child.poll()
    except ChildProcessError:  # its fork server has ended, so its exit code is unknown
        return True
    if code is None:  # it held the lock and is ending, or it still imports modules
        return _had_lock(home, child.pid)
    return code == 0 or time.monotonic() - started_at > RESTART_S


def _had_lock(home: Path, pid: int) -> bool:
    try:
        return (home / PID_FILE).read_text() == str(pid)
    except OSError:
        return False


def _lock(home: Path) -> FileLock:
    return FileLock(home / LOCK_FILE)
