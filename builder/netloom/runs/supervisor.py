"""Supervision of all runs: marks runs without a worker as failed, starts waiting ones, and ensures that sweeps have a
process."""

from __future__ import annotations

import threading
import time
import weakref

from netloom.runs import control
from netloom.runs.control import ACTIVE
from netloom.runs.repeated_errors import RepeatedErrors
from netloom.runs.search.sweep_process import tend
from netloom.store import Run, Store

# The interval of supervision, in seconds.
KEEP_S = 1.0


def keep(store: Store) -> threading.Thread:
    """Start a thread that supervises the runs, also without an open page, as long as `store` is referenced
    elsewhere."""
    thread = threading.Thread(target=_keep, args=(weakref.ref(store),), name="keep", daemon=True)
    thread.start()
    return thread


def _keep(store_reference: weakref.ref[Store]) -> None:
    errors: RepeatedErrors | None = None
    while (store := store_reference()) is not None:
        errors = errors or RepeatedErrors(store.home, "keep")
        try:
            tend(store)
            errors.clear()
        except Exception as error:  # the database can be locked for a moment, or its folder missing
            if not store.home.exists():
                return
            errors.log(error)
            time.sleep(KEEP_S * 2)
        del store  # while this thread sleeps, only others keep the store alive
        time.sleep(KEEP_S)


def refresh(store: Store, run_id: str) -> Run:
    """Return the current state of a run. If its worker has ended without a report, the run is marked as failed with the
    reason."""
    run = store.run(run_id)
    if run.state == "waiting":
        tend(store)
        return store.run(run_id)
    ended = run.state not in ACTIVE
    run = control.check_run(store, run)
    if run.state not in ACTIVE and not ended:
        tend(store)
    return run


def wait(store: Store, run_id: str, timeout_s: float = 3600.0) -> Run:
    """Block until a run is no longer active.

    Raises:
        TimeoutError: it is still active after `timeout_s` seconds.
    """
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        run = refresh(store, run_id)
        if run.state not in ACTIVE:
            return run
        time.sleep(0.1)
    raise TimeoutError(f"Run {run_id} is still active after {timeout_s:g} s.")
