"""Ensures that each sweep on a cluster has exactly one driver process."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from netloom.core.processes import is_running
from netloom.core.settings import variable
from netloom.store import Store, Sweep, current_host
from netloom.store.sweeps import SweepDriver

MODULE = "netloom.runs.search.tune_trials"
# How often a killed driver is replaced, and the time that a new one has to report.
MOST, STARTING_S = 5, 10.0
# A sweep on another machine without an active trial for this time is taken to have no driver.
SILENCE_S = 60.0
_children: dict[str, subprocess.Popen[bytes]] = {}
_idle: dict[str, tuple[object, float]] = {}


def ensure(store: Store, sweep: Sweep, going: int) -> None:
    """Start the driver process of a sweep if there is none."""
    last_driver = sweep.plan.get("driver")
    if last_driver and _drives(sweep, last_driver, going):
        return
    count = last_driver["count"] + 1 if last_driver else 1
    if count > MOST:
        reason = f"The process that asks Ray Tune for its trials was lost {MOST} times."
        store.stop_sweep(sweep.id, "failed", reason)
        return
    driver: SweepDriver = {"host": current_host(), "pid": None, "at": time.time(), "count": count}
    if not store.change_sweep(sweep, plan={**sweep.plan, "driver": driver}):
        return  # another process has started it
    child = _start(store, sweep)
    claimed = store.sweep(sweep.id)
    store.change_sweep(claimed, plan={**claimed.plan, "driver": {**driver, "pid": child.pid}})


def drivers() -> dict[str, subprocess.Popen[bytes]]:
    """Return the driver processes that this process started, by sweep id."""
    return dict(_children)


def _drives(sweep: Sweep, driver: SweepDriver, going: int) -> bool:
    if driver["host"] != current_host():
        # Processes of another machine are invisible; a driver shows itself by a change of the sweep or an active trial.
        word = (driver, going)
        last_word, since = _idle.get(sweep.id, (None, 0.0))
        if last_word != word or going:
            _idle[sweep.id] = (word, time.monotonic())
            return True
        return time.monotonic() - since < SILENCE_S
    child = _children.get(sweep.id)
    if child is not None:
        return child.poll() is None
    if driver["pid"] is None:
        return time.time() - driver["at"] < STARTING_S
    return is_running(driver["pid"], MODULE)


def _start(store: Store, sweep: Sweep) -> subprocess.Popen[bytes]:
    folder = store.home / "ray"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{sweep.id}.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE, str(store.home), sweep.id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, variable("home"): str(store.home)},
            start_new_session=True,  # Ctrl+C in the terminal of this process must not end the sweep
        )
    _children[sweep.id] = child
    return child
