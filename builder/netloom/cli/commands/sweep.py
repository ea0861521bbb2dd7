"""`netloom sweep`: a hyperparameter search, a cross-validation, or repetitions with other seeds."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.command import FAILED, INTERRUPTED, Command, Context, Failure, whole
from netloom.cli.files import add_force_argument, new_file
from netloom.cli.text import number, table
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.document import Project
    from netloom.store import Store, Sweep, Trial

POLL_S = 0.3
SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("none", "median", "hyperband")
_ID_SHOWN = 8


class Sweeping(Command):
    """Starts or resumes a sweep, and shows each trial when it ends."""

    name = "sweep"
    summary = "search hyperparameters, cross-validate, or repeat over seeds"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", nargs="?", help="project document")
        parser.add_argument(
            "--space",
            metavar="JSON",
            help='search space, such as {"training.learning_rate": {"low": 0.001, "high": 0.1}}, or a file with it; '
            "--parameters lists the paths",
        )
        parser.add_argument(
            "--folds", type=whole(2, 100), metavar="K", help="number of folds: cross-validate instead of searching"
        )
        parser.add_argument(
            "--seeds", type=whole(2, 1_000), metavar="N", help="number of seeds: repeat instead of searching"
        )
        parser.add_argument(
            "--trials", type=whole(1, 10_000), default=20, metavar="N", help="number of trials (default: 20)"
        )
        parser.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="search algorithm (default: tpe)")
        parser.add_argument(
            "--pruner", choices=PRUNERS, default="none", help="stop unpromising trials early (default: none)"
        )
        parser.add_argument(
            "--metric",
            default="loss",
            metavar="NAME",
            help="validation metric to optimize, such as loss or accuracy (default: loss)",
        )
        parser.add_argument(
            "--direction",
            choices=("minimize", "maximize"),
            help="direction of the metric (default: follows from its name)",
        )
        parser.add_argument(
            "--seed", type=whole(0, 2**31 - 1), default=0, metavar="SEED", help="random seed of the search (default: 0)"
        )
        parser.add_argument("--at-once", type=whole(1, 64), default=1, metavar="N", help="parallel trials (default: 1)")
        from netloom.cli.commands.train import add_backend_argument

        add_backend_argument(parser)
        parser.add_argument("--resume", metavar="SWEEP", help="resume a stopped sweep, by its id or first characters")
        parser.add_argument("--list", action="store_true", help="list the sweeps and exit")
        parser.add_argument(
            "--parameters",
            action="store_true",
            help="list the parameters of the document that can be searched, and exit",
        )
        parser.add_argument("--write-best", metavar="FILE", help="write the document with the best values")
        add_force_argument(parser)
        parser.epilog = "Ctrl-C stops the sweep; --resume continues it."

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.runs.owner import terminal_owner
        from netloom.runs.search import sweeps
        from netloom.store import open_store

        if arguments.write_best is None:
            refuse_unused(self, arguments, ["force"], without="--write-best")
        store = open_store(context.home)
        if arguments.list:
            return _list(store, context)
        if arguments.write_best is not None:
            new_file(arguments.write_best, force=arguments.force)
        if arguments.resume:
            sweep_id = _find(store, arguments.resume).id
            sweeps.resume(store, sweep_id, owner=terminal_owner())
        else:
            project = _document(arguments)
            if arguments.parameters:
                return _parameters(project, context)
            sweep_id = _start(store, project, arguments)
        context.note(f"Sweep {sweep_id}; Ctrl-C stops it.")
        interrupted = follow_sweep(store, sweep_id, context)
        return _report(store, sweep_id, arguments, context, interrupted)


def _document(arguments: Namespace) -> Project:
    from netloom.document import read

    if arguments.file is None:
        raise UsageError("Give a document to search, or a sweep with --resume.")
    return read(arguments.file)


def _start(store: Store, project: Project, arguments: Namespace) -> str:
    from netloom.data import with_dataset_id
    from netloom.runs import cluster
    from netloom.runs.owner import terminal_owner
    from netloom.runs.search import sweeps
    from netloom.runs.search.search_space import SpaceError

    kinds = [name for name in ("space", "folds", "seeds") if getattr(arguments, name) is not None]
    if len(kinds) != 1:
        raise UsageError("Give one of --space FILE, --folds K and --seeds N.")
    if not project.data.dataset:
        raise Failure("This document has no dataset; add one first.")
    project = with_dataset_id(project, store.home)
    common: dict[str, Any] = {
        "metric": arguments.metric,
        "direction": arguments.direction or "",
        "parallel": arguments.at_once,
    }
    if arguments.backend == cluster.RAY:
        cluster.check(project, 1)
        common["backend"] = cluster.RAY
    project_id = store.find_or_create_project(project)
    try:
        if arguments.folds:
            project, plan = sweeps.folds(project, arguments.folds, **common)
        elif arguments.seeds:
            project, plan = sweeps.seeds(project, arguments.seeds, **common)
        else:
            search = {
                "trials": arguments.trials,
                "sampler": arguments.sampler,
                "pruner": arguments.pruner,
                "seed": arguments.seed,
            }
            plan = sweeps.plan(project, _space(arguments.space), **search, **common)
    except SpaceError as error:
        raise UsageError(str(error)) from None
    return sweeps.start(store, project_id, project, plan, owner=terminal_owner())


def _space(name: str) -> Any:
    """Return the search space from a JSON file, or from JSON on the command line.

    Raises:
        UsageError: the file cannot be read, or the text is not JSON.
    """
    try:
        text = name if name.lstrip().startswith("{") else Path(name).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise UsageError(f"{name[:60]} is not a search space in JSON: {error}.") from None


def follow_sweep(store: Store, sweep_id: str, context: Context) -> bool:
    """Show each trial when it ends. Returns whether Ctrl-C stopped the sweep."""
    from netloom.runs import tend
    from netloom.runs.search import sweeps

    reported: set[int] = set()
    interrupted = False
    while True:
        try:
            tend(store)
            sweep = store.sweep(sweep_id)
            for trial in store.trials(sweep_id):
                if trial.state != "running" and trial.number not in reported:
                    reported.add(trial.number)
                    context.note(_trial_line(sweep, trial))
            if sweep.state != "running":
                return interrupted
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            # The sweep is no longer running, so the next pass reports the last trials and returns.
            sweeps.stop(store, sweep_id)
            interrupted = True


def _trial_line(sweep: Sweep, trial: Trial) -> str:
    values = "  ".join(f"{path}={_cell(value)}" for path, value in trial.assigned.items())
    result = "" if trial.value is None else f"  {sweep.plan['metric']} {number(trial.value)}"
    reason = f"  {plain(trial.reason)}" if trial.reason else ""
    return f"trial {trial.number + 1}  {trial.state}{result}  {values}{reason}"


def _report(store: Store, sweep_id: str, arguments: Namespace, context: Context, interrupted: bool) -> int:
    from dataclasses import asdict

    from netloom.data.quality.severe_findings import high_findings
    from netloom.document import loads, write
    from netloom.runs.search import sweeps
    from netloom.runs.search.confidence_interval import of_sweep
    from netloom.runs.search.search_space import assign

    sweep, trials = store.sweep(sweep_id), store.trials(sweep_id)
    best = sweeps.best(sweep, trials)
    caveats = high_findings(loads(sweep.document).data, context.home)
    is_search = sweeps.kind_of(sweep.plan).is_search
    intervals = [] if is_search else of_sweep(store, sweep)
    value = {
        "sweep": sweep.id,
        "state": sweep.state,
        "trials": [asdict(trial) for trial in trials],
        "best": asdict(best) if best else None,
        "importance": sweeps.importance(sweep, trials) if is_search else {},
        "spread": [asdict(item) for item in intervals],
        "caveats": [finding.message for finding in caveats],
    }
    lines = [item.sentence() for item in intervals]
    if best is not None and not intervals:
        lines = [f"Best: {_trial_line(sweep, best)}"]
    if best is not None and arguments.write_best:
        write(arguments.write_best, assign(loads(sweep.document), best.assigned, context.home))
    remarks = [finding.message for finding in caveats]
    if missing := sweeps.missing_results(sweep, trials):
        remarks.insert(0, missing)
    lines = [*(lines or ["No trial has a result."]), *(f"! {plain(remark)}" for remark in remarks)]
    context.answer(value, "\n".join(lines))
    return INTERRUPTED if interrupted else 0 if best else FAILED


def _parameters(project: Project, context: Context) -> int:
    from netloom.runs.search.search_space import searchable

    parameters = searchable(project)
    rows = [(item.path, _cell(item.value), json.dumps(item.proposal)) for item in parameters]
    value = {item.path: {"value": item.value, "proposal": item.proposal} for item in parameters}
    context.answer(value, table(("path", "now", "a range to begin with"), rows))
    return 0


def _list(store: Store, context: Context) -> int:
    rows = store.sweeps()
    cells = [(row.id[:_ID_SHOWN], row.state, len(store.trials(row.id)), row.plan["trials"], row.title) for row in rows]
    value = [{"id": row.id, "state": row.state, "title": row.title, "plan": row.plan} for row in rows]
    context.answer(value, table(("id", "state", "trials", "planned", "title"), cells) if rows else "No sweeps yet.")
    return 0


def _find(store: Store, prefix: str) -> Sweep:
    matches = [row for row in store.sweeps() if prefix and row.id.startswith(prefix.lower())]
    if len(matches) != 1:
        raise UsageError(f"{len(matches) or 'No'} sweeps begin with {prefix[:60]!r}; netloom sweep --list shows them.")
    return matches[0]


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)
