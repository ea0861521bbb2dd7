"""Finds the run that a user means by an id prefix or "last"."""

from __future__ import annotations

from collections.abc import Callable

from netloom.core.errors import UsageError
from netloom.core.text import number, plain
from netloom.runs.history.recovery import rebuild_offer
from netloom.runs.search import sweeps
from netloom.runs.supervisor import refresh
from netloom.store import NotFoundError, Run, Store

LAST = "last"
REBUILD = "netloom runs rebuild does that."
_ALL = 1_000_000
_LISTED = 8


def find_run(store: Store, prefix: str, note: Callable[[str], object] = lambda sentence: None) -> Run:
    """Return the run whose id begins with `prefix`. "last" is the newest run; if that is a trial, the best run of its
    sweep, which `note` reports. The state of the run is refreshed.

    Raises:
        UsageError: no run matches, or more than one.
    """
    runs = store.runs(limit=_ALL)
    if not runs:
        lost = rebuild_offer(store)
        raise UsageError(f"{lost} {REBUILD}" if lost else "There are no runs yet; start one with netloom train.")
    if prefix == LAST:
        return refresh(store, _last(store, runs[0], note))
    matches = [run for run in runs if prefix and run.id.startswith(prefix.lower())]
    if not matches:
        raise UsageError(f"There is no run {prefix[:60]!r}; netloom runs lists them.")
    if len(matches) > 1:
        ids = ", ".join(run.id for run in matches[:_LISTED])
        raise UsageError(f"{len(matches)} runs begin with {prefix[:60]!r}; write more of the id: {ids}.")
    return refresh(store, matches[0].id)


def _last(store: Store, newest: Run, note: Callable[[str], object]) -> str:
    """Return the run that "last" means. A sweep creates many runs, and its newest one is arbitrary."""
    if newest.sweep_id is None:
        return newest.id
    try:
        sweep = store.sweep(newest.sweep_id)
    except NotFoundError:  # the sweep was deleted, so its runs are ordinary ones
        return newest.id
    trials = store.trials(sweep.id)
    best = sweeps.best(sweep, trials)
    run_id = best.run_id if best is not None and best.run_id else newest.id
    if best is not None and run_id == best.run_id:
        result = f"{sweep.plan['metric']} {number(best.value or 0.0)}"
        description = f"trial {best.number + 1}, the best of {len(trials)} ({result})"
    else:
        description = "the newest trial, as none has a result"
    note(f"last is run {run_id[:8]}: {description} of the sweep {plain(sweep.title)!r}.")
    return run_id
