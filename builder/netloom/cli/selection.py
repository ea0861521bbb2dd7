"""From what people write for a run or a dataset to the one that they mean."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from netloom.cli.command import Failure
from netloom.cli.text import number
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from pathlib import Path

    from netloom.data import DatasetInfo
    from netloom.runs import TrainedRun
    from netloom.store import Run, Store

LAST = "last"
REBUILD = "netloom runs rebuild does that."
_ALL = 1_000_000
_LISTED = 8


def prepare_argument(parser: ArgumentParser, default: str) -> None:
    """The option that says how inputs are prepared."""
    parser.add_argument(
        "--prepare",
        choices=("none", "scale", "standardize"),
        help="how numbers and pixels are prepared: none feeds them as they are, scale brings them to 0 to 1, "
        f"standardize to mean 0 and deviation 1 by the training rows (default: {default})",
    )


def find_run(store: Store, wanted: str) -> Run:
    """The run whose id begins with `wanted`; "last" is the newest, and where that is a trial the best of its sweep, as
    is said on standard error. Its state is looked at afresh.

    Raises:
        UsageError: there is none, or more than one.
    """
    from netloom.runs import refresh
    from netloom.runs.recovery import offer

    runs = store.runs(limit=_ALL)
    if not runs:
        lost = offer(store)
        raise UsageError(f"{lost} {REBUILD}" if lost else "There are no runs yet; start one with netloom train.")
    if wanted == LAST:
        return refresh(store, _last(store, runs[0]))
    found = [run for run in runs if wanted and run.id.startswith(wanted.lower())]
    if not found:
        raise UsageError(f"There is no run {wanted[:60]!r}; netloom runs lists them.")
    if len(found) > 1:
        ids = ", ".join(run.id for run in found[:_LISTED])
        raise UsageError(f"{len(found)} runs begin with {wanted[:60]!r}; write more of the id: {ids}.")
    return refresh(store, found[0].id)


def _last(store: Store, newest: Run) -> str:
    """The run that is meant by the newest one: a sweep makes many, of which the last made is any."""
    from netloom.runs import sweeps
    from netloom.store import Missing

    if newest.sweep_id is None:
        return newest.id
    try:
        sweep = store.sweep(newest.sweep_id)
    except Missing:  # it was deleted, and its runs are runs like all others
        return newest.id
    trials = store.trials(sweep.id)
    best = sweeps.best(sweep, trials)
    run_id = best.run_id if best is not None and best.run_id else newest.id
    if best is not None and run_id == best.run_id:
        result = f"{sweep.plan['metric']} {number(best.value or 0.0)}"
        which = f"trial {best.number + 1}, the best of {len(trials)} ({result})"
    else:
        which = "the newest trial, as none has a result"
    print(f"last is run {run_id[:8]}: {which} of the sweep {plain(sweep.title)!r}.", file=sys.stderr, flush=True)
    return run_id


def find_trained(store: Store, wanted: str, checkpoint: str = "") -> TrainedRun:
    """The network of a run with its "best" or "last" weights; else with those that its document says are used.

    Raises:
        UsageError: there is no such run.
        Failure: it has no weights yet.
    """
    from netloom.runs import load_run

    run = find_run(store, wanted)
    try:
        return load_run(store, run.id, checkpoint)
    except FileNotFoundError:
        reason = f": {plain(run.reason)}" if run.reason else "."
        raise Failure(f"Run {run.id} has no weights; it is {run.state}{reason}") from None


def find_dataset(home: Path, wanted: str) -> DatasetInfo:
    """The dataset of a name, or the upload of an id, the beginning of one, or a title.

    Raises:
        UsageError: there is none, or more than one.
    """
    from netloom.data import datasets

    known = datasets(home)
    exact = [item for item in known if wanted in (item.name, item.title)]
    found = exact or [item for item in known if wanted and not item.builtin and item.name.startswith(wanted.lower())]
    if not found:
        raise UsageError(f"There is no dataset {wanted[:60]!r}; netloom data list shows what there is.")
    if len(found) > 1:
        ids = ", ".join(item.name for item in found[:_LISTED])
        raise UsageError(f"{len(found)} datasets are called {wanted[:60]!r}; write one of the ids: {ids}.")
    return found[0]
