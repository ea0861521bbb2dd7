"""The process that moves the sweeps of a data folder on, so that they outlive whoever began them.

It notes what came of trials, suggests and starts the next ones, and finishes sweeps; with the last of them it ends. No
other process does so: a web server that builds networks and samples values answers its pages late meanwhile.

There is one for each data folder, which holds a lock on a file; the system releases it however the process ends.
Whoever looks at the runs (a server, a terminal, a worker that ends) starts another where none holds it. Should two run
for a moment, or one on each of several machines, the store still makes each trial once.
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
# The process that had the lock last.
PID_FILE = "sweeps.pid"
# A trial that ends is followed by the next within this time; each look takes some milliseconds.
POLL_S = 0.25
# How long after a sweep process failed this process starts no other: what ended it will mostly end the next one, too.
RESTART_S = 5.0

_starting = threading.Lock()
# The last sweep process that this process started for each data folder, and when, by the clock of this process.
_started: dict[Path, tuple[processes.Worker, float]] = {}


def ensure_sweep_process(store: Store) -> None:
    """Start the process that moves sweeps on, where one is needed and none runs."""
    if not store.sweeps(state="running"):
        return
    with _starting:
        if is_running(store.home) or not _may_start(store.home):
            return
        child = processes.take(store.home)
        _started[store.home] = (child, time.monotonic())
    processes.tell(child, {"sweeps": True, "threads": 1, "log": str(store.home / LOG_FILE), "gpu": None})


def is_running(home: Path) -> bool:
    """Whether a process on this machine moves the sweeps of a data folder on."""
    try:
        with _lock(home).acquire(timeout=0):
            return False
    except Timeout:
        return True


def main(home: Path) -> int:
    """Move sweeps on until none runs. Returns the exit code."""
    store = open_store(home)
    # A sweep that begins after the last look, while the lock is still held, is seen once more after its release.
    while _sweeps_run(store):
        try:
            with _lock(home).acquire(timeout=1):  # longer than somebody holds it who only asks whether one runs
                (home / PID_FILE).write_text(str(os.getpid()))
                _advance_until_finished(store)
        except Timeout:
            return 0
    return 0


def started_processes() -> list[processes.Worker]:
    """The sweep processes that this process started last, one for each data folder."""
    return [child for child, _ in _started.values()]


def _advance_until_finished(store: Store) -> None:
    errors = RepeatedErrors(store.home, "sweeps")
    while True:
        try:
            if not _sweeps_run(store):
                return
            control.look_at_workers(store)
            advance_sweeps(store)
            control.advance(store)
            errors.clear()
        except Exception as error:  # the database may be locked for a moment
            if not store.home.exists():
                return
            errors.log(error)
            time.sleep(1)
        time.sleep(POLL_S)


def _sweeps_run(store: Store) -> bool:
    return store.home.exists() and bool(store.sweeps(state="running"))


def _may_start(home: Path) -> bool:
    """Whether the last one that this process started, which has no lock, is not just about to take it, and did not fail
    a moment ago."""
    if home not in _started:
        return True
    child, started_at = _started[home]
    try:
        code = child.poll()
    except ChildProcessError:  # the server that it was forked from is gone, and with it its exit code
        return True
    if code is None:  # it had the lock and is ending, or it still imports what it needs
        return _had_lock(home, child.pid)
    return code == 0 or time.monotonic() - started_at > RESTART_S


def _had_lock(home: Path, pid: int) -> bool:
    try:
        return (home / PID_FILE).read_text() == str(pid)
    except OSError:
        return False


def _lock(home: Path) -> FileLock:
    return FileLock(home / LOCK_FILE)
