"""From what people write for a run to the one that they mean."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from netloom.cli.command import Failure
from netloom.core.text import plain

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from netloom.runs import TrainedRun
    from netloom.store import Run, Store


def prepare_argument(parser: ArgumentParser, default: str) -> None:
    """The option that says how inputs are prepared."""
    parser.add_argument(
        "--prepare",
        choices=("none", "scale", "standardize"),
        help="preprocessing of numbers and pixels: none, scale to the range 0 to 1, or standardize to mean 0 and "
        f"standard deviation 1 on the training rows (default: {default})",
    )


def find_run(store: Store, name: str) -> Run:
    """The run that is meant, see `netloom.runs.run_lookup`; which one of a sweep is meant is said on standard error.

    Raises:
        UsageError: there is none, or more than one.
    """
    from netloom.runs import run_lookup

    return run_lookup.find_run(store, name, partial(print, file=sys.stderr, flush=True))


def find_trained(store: Store, name: str, checkpoint: str = "") -> TrainedRun:
    """The network of a run with its "best" or "last" weights; else with those that its document says are used.

    Raises:
        UsageError: there is no such run.
        Failure: it has no weights yet.
    """
    from netloom.runs import load_run

    run = find_run(store, name)
    try:
        return load_run(store, run.id, checkpoint)
    except FileNotFoundError:
        reason = f": {plain(run.reason)}" if run.reason else "."
        raise Failure(f"Run {run.id} has no weights; it is {run.state}{reason}") from None
