"""Seeing to all runs: marking those whose worker is gone, moving sweeps on, and starting whoever is next."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref

from netloom.core import log
from netloom.runs import control
from netloom.runs.control import ACTIVE
from netloom.runs.sweep_trials import go_on
from netloom.store import Run, Store

# How often the runs are tended.
KEEP_S = 1.0


def tend(store: Store) -> None:
    """See to all runs: those whose worker is gone are marked as failed, sweeps go on, and whoever is next begins."""
    control.look_at_workers(store)
    go_on(store)
    control.advance(store)


def keep(store: Store) -> threading.Thread:
    """Tend the runs from a thread of this process, also while no page is open, as long as somebody holds `store`."""
    thread = threading.Thread(target=_keep, args=(weakref.ref(store),), name="keep", daemon=True)
    thread.start()
    return thread


def _keep(known: weakref.ref[Store]) -> None:
    told = ""
    while (store := known()) is not None:
        try:
            tend(store)
            told = ""
        except Exception as error:  # the database may be locked for a moment, or its folder gone
            if not store.home.exists():
                return
            if repr(error) != told:  # once, as the same goes on until somebody mends it
                told = repr(error)
                with contextlib.suppress(OSError):
                    log.write(store.home / log.ERRORS, "error", where="keep", problem=told)
            time.sleep(KEEP_S * 2)
        del store
        time.sleep(KEEP_S)


def refresh(store: Store, run_id: str) -> Run:
    """The run as it is now; where its worker is gone without a word, it is marked as failed with the reason."""
    run = store.run(run_id)
    if run.state == "waiting":
        tend(store)
        return store.run(run_id)
    ended = run.state not in ACTIVE
    run = control.look(store, run)
    if run.state not in ACTIVE and not ended:
        tend(store)
    return run


def wait(store: Store, run_id: str, timeout_s: float = 3600.0) -> Run:
    """Block until a run is no longer going.

    Raises:
        TimeoutError: it still is after `timeout_s`.
    """
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        run = refresh(store, run_id)
        if run.state not in ACTIVE:
            return run
        time.sleep(0.1)
    raise TimeoutError(f"Run {run_id} is still going after {timeout_s:g} s.")
