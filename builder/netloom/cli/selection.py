"""Selects the run that RUN names on the command line."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from netloom.cli.command import Failure, whole
from netloom.core.text import plain

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from netloom.runs import TrainedRun
    from netloom.store import Run, Store

EXAMPLE_HELP = "row whose prediction is explained (default: the most confident mistake on the test rows)"


def add_prepare_argument(parser: ArgumentParser, default: str) -> None:
    """Declare `--prepare`, the preprocessing of the inputs."""
    parser.add_argument(
        "--prepare",
        choices=("none", "scale", "standardize"),
        help="preprocessing of numbers and pixels: none, scale to the range 0 to 1, or standardize to mean 0 and "
        f"standard deviation 1 on the training rows (default: {default})",
    )


def add_run_argument(parser: ArgumentParser) -> None:
    """Declare RUN."""
    parser.add_argument(
        "run",
        metavar="RUN",
        help="id of the run, its first characters, or last: the newest run, or the best of a newer sweep",
    )


def add_model_argument(parser: ArgumentParser) -> None:
    """Declare `--model`, a file instead of the weights of the run."""
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="ONNX file of the run, such as a variant of netloom optimize, instead of the weights of the run",
    )


def add_checkpoint_argument(parser: ArgumentParser) -> None:
    """Declare `--checkpoint` for commands that take the best or the last weights."""
    parser.add_argument("--checkpoint", choices=("best", "last"), help="checkpoint (default: that of the run)")


def add_example_argument(parser: ArgumentParser, help: str) -> None:
    """Declare `--example`, the number of a row."""
    parser.add_argument("--example", metavar="ROW", type=whole(0, 2**63 - 1), help=help)


def chosen_example(store: Store, trained: TrainedRun, row: int | None) -> tuple[int, str]:
    """Return the row of `--example`, or else the row that the Explain page opens and a sentence that says why."""
    from netloom import runs
    from netloom.explain.core.starting_row import starting_row

    if row is not None:
        return row, ""
    start = starting_row(trained.data, runs.evaluation(store, trained.run.id) if trained.run else None)
    return start.row, f"Row {start.row}. {start.reason}"


def add_seed_argument(parser: ArgumentParser, help: str) -> None:
    """Declare `--seed` with the default 0."""
    parser.add_argument("--seed", metavar="SEED", type=whole(0, 2**31 - 1), default=0, help=f"{help} (default: 0)")


def find_run(store: Store, name: str) -> Run:
    """Return the run with this id, beginning of an id, or `last`; see `netloom.runs.run_lookup`.

    For `last`, a note on standard error says which run of a sweep was chosen.

    Raises:
        UsageError: no run matches, or more than one.
    """
    from netloom.runs import run_lookup

    return run_lookup.find_run(store, name, partial(print, file=sys.stderr, flush=True))


def load_trained_run(store: Store, name: str, checkpoint: str = "") -> TrainedRun:
    """Load the network of a run with its "best" or "last" weights, or those of an epoch (default: the run's choice).

    Raises:
        UsageError: there is no such run.
        Failure: the run has no weights yet.
    """
    from netloom.runs import load_run

    run = find_run(store, name)
    try:
        return load_run(store, run.id, checkpoint)
    except FileNotFoundError:
        reason = f": {plain(run.reason)}" if run.reason else "."
        raise Failure(f"Run {run.id} has no weights; it is {run.state}{reason}") from None
