"""The subcommands of `netloom runs`: compare, reproduce, resume, extend, branch, describe, rebuild and export."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.cli.command import FAILED, INTERRUPTED, Context, Failure, real, whole
from netloom.cli.files import add_force_argument, new_file, new_folder
from netloom.cli.selection import add_run_argument, find_run
from netloom.cli.text import number, table
from netloom.core.errors import UsageError
from netloom.core.text import counted, plain

if TYPE_CHECKING:
    from netloom.cli.run_progress import Progress
    from netloom.store import Store

FORMATS = ("csv", "tensorboard", "mlflow")


@dataclass(frozen=True)
class RunAction:
    """A subcommand of `netloom runs`."""

    summary: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Store, Namespace, Context], int]


def _compare(store: Store, arguments: Namespace, context: Context) -> int:
    from netloom.runs.caveats import caveats_of
    from netloom.runs.history.comparison import difference, document
    from netloom.runs.history.comparison import table as rows_of

    runs = [find_run(store, name) for name in arguments.runs]
    if len(runs) < 2:
        raise UsageError("Give at least two runs to compare.")
    rows = rows_of(store, runs, runs[0].id)
    documents = [document(store, run.id) for run in runs]
    differences = [
        difference(documents[0], other_document) if documents[0] and other_document else None
        for other_document in documents[1:]
    ]
    names = [name for name in rows[0] if name != "run"]
    cells = [[str(row["run"])[:8], *(_cell(row[name]) for name in names)] for row in rows]
    lines = [table(("run", *names), cells)]
    for run, edit in zip(runs[1:], differences, strict=True):
        if edit is not None and edit.lines():
            lines += ["", f"From {runs[0].id[:8]} to {run.id[:8]}:", *map(plain, edit.lines())]
    for run in runs:
        lines += [f"! {run.id[:8]}: {plain(caveat.message)}" for caveat in caveats_of(run)]
    value = {"rows": rows, "differences": [change.as_json() if change else None for change in differences]}
    context.answer(value, "\n".join(lines))
    return 0


def _reproduce(store: Store, arguments: Namespace, context: Context) -> int:
    from netloom.cli.run_progress import follow
    from netloom.runs.derived.reproduction import compare_runs, repeat
    from netloom.runs.owner import terminal_owner

    run = find_run(store, arguments.run)
    repeated, interrupted = follow(store, repeat(store, run.id, owner=terminal_owner()), context)
    if interrupted:
        return INTERRUPTED
    if repeated.state != "finished":
        raise Failure(f"The repetition {repeated.id} {repeated.state}: {plain(repeated.reason)}")
    comparison = compare_runs(store, store.run(run.id), repeated)
    context.answer({**comparison.as_json(), "sentence": comparison.sentence()}, comparison.sentence())
    return 0 if comparison.same else FAILED


def _extend(store: Store, arguments: Namespace, context: Context) -> int:
    from netloom.cli.run_progress import progress_after
    from netloom.runs.derived.continuation import extend
    from netloom.runs.owner import terminal_owner

    run = find_run(store, arguments.run)
    progress = progress_after(store, run, context)
    try:
        extend(store, run.id, arguments.epochs, owner=terminal_owner())
    except ValueError as error:
        raise Failure(str(error)) from None
    return _follow_to_end(store, run.id, context, progress)


def _resume(store: Store, arguments: Namespace, context: Context) -> int:
    from netloom.cli.run_progress import progress_after
    from netloom.runs import resume
    from netloom.runs.owner import terminal_owner

    run = find_run(store, arguments.run)
    progress = progress_after(store, run, context)
    try:
        resume(store, run.id, owner=terminal_owner())
    except ValueError as error:
        raise Failure(str(error)) from None
    return _follow_to_end(store, run.id, context, progress)


def _branch(store: Store, arguments: Namespace, context: Context) -> int:
    from netloom.runs.derived.continuation import branch
    from netloom.runs.owner import terminal_owner

    run = find_run(store, arguments.run)
    checkpoint = int(arguments.at) if arguments.at.isdigit() else arguments.at
    values = {"epochs": arguments.epochs, "learning_rate": arguments.learning_rate}
    try:
        training = {key: value for key, value in values.items() if value is not None}
        branched_id = branch(store, run.id, checkpoint, training=training, owner=terminal_owner())
    except UsageError:  # there is no such checkpoint; UsageError is a ValueError
        raise
    except ValueError as error:
        raise Failure(str(error).splitlines()[0]) from None
    return _follow_to_end(store, branched_id, context)


def _follow_to_end(store: Store, run_id: str, context: Context, progress: Progress | None = None) -> int:
    from netloom.cli.run_progress import follow

    run, interrupted = follow(store, run_id, context, progress)
    if run.state == "failed":
        raise Failure(f"The run failed: {run.reason}")
    value = {"run": run.id, "state": run.state, "epochs": run.epoch, "steps": run.step}
    context.answer(value, f"{run.id} {run.state} after {counted(run.epoch, 'epoch')}")
    return INTERRUPTED if interrupted else 0


def _describe(store: Store, arguments: Namespace, context: Context) -> int:
    from netloom.runs.history.records import describe

    run = find_run(store, arguments.run)
    described = {
        "title": arguments.title,
        "notes": arguments.notes,
        "tags": arguments.tags.split(",") if arguments.tags is not None else None,
    }
    values = {key: value for key, value in described.items() if value is not None}
    if not values:
        raise UsageError("Give at least one of --title, --notes and --tags.")
    describe(store, run.id, **values)
    run_described = store.run(run.id)
    value = {"run": run.id, "title": run_described.title, "notes": run_described.notes, "tags": run_described.tags}
    context.answer(value, f"{run_described.id}  {plain(run_described.title)}  {', '.join(run_described.tags)}")
    return 0


def _rebuild(store: Store, arguments: Namespace, context: Context) -> int:
    from dataclasses import asdict

    from netloom.runs.history import recovery

    result = recovery.rebuild(store)
    context.answer(asdict(result), result.sentence())
    return FAILED if result.left_out else 0


def _export(store: Store, arguments: Namespace, context: Context) -> int:
    from netloom.document import write_bytes
    from netloom.export.trackers import mlflow_folder, write_mlflow, write_tensorboard
    from netloom.runs.history.comparison import as_csv
    from netloom.runs.history.comparison import table as rows_of

    runs = [find_run(store, name) for name in arguments.runs] or store.runs()
    if arguments.format == "csv":
        path = new_file(arguments.to, force=arguments.force)
        write_bytes(path, as_csv(rows_of(store, runs)).encode())
        written = [path]
    else:
        folder = Path(arguments.to)
        folders = [folder / run.id if arguments.format == "tensorboard" else mlflow_folder(run, folder) for run in runs]
        for run_folder in folders:
            new_folder(run_folder, force=arguments.force)
        written = [
            write_tensorboard(store, run, home)
            if arguments.format == "tensorboard"
            else write_mlflow(store, run, folder)
            for run, home in zip(runs, folders, strict=True)
        ]
    context.answer([str(path) for path in written], "\n".join(map(str, written)))
    return 0


def _cell(value: object) -> str:
    return "" if value is None else number(value) if isinstance(value, float) else str(value)


def _no_arguments(parser: ArgumentParser) -> None:
    pass


def _add_runs(parser: ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="runs to compare; the first is the baseline")


def _add_extend_arguments(parser: ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "--epochs", type=whole(1, 10_000), required=True, metavar="N", help="number of additional epochs"
    )


def _add_branch_arguments(parser: ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "--at", default="best", metavar="CHECKPOINT", help="best, last or the number of an epoch (default: best)"
    )
    parser.add_argument("--epochs", type=whole(1, 10_000), metavar="N", help="number of epochs (default: that of RUN)")
    parser.add_argument("--learning-rate", type=real, metavar="X", help="learning rate (default: that of RUN)")


def _add_describe_arguments(parser: ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("--title", metavar="TEXT", help="new title")
    parser.add_argument("--notes", metavar="TEXT", help="new notes")
    parser.add_argument("--tags", metavar="A,B", help="new tags, which replace all others")


def _add_export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="*", help="runs to export (default: all)")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help=f"export format (default: {FORMATS[0]})")
    parser.add_argument(
        "--to", required=True, metavar="PATH", help="output: a file for csv, a folder for tensorboard and mlflow"
    )
    add_force_argument(parser)


ACTIONS = {
    "compare": RunAction("compare settings and results of runs", _add_runs, _compare),
    "again": RunAction("reproduce a run, and compare the curves bit for bit", add_run_argument, _reproduce),
    "resume": RunAction("resume a failed or stopped run from its last checkpoint", add_run_argument, _resume),
    "extend": RunAction("train a finished run for more epochs", _add_extend_arguments, _extend),
    "branch": RunAction("start a new run from a checkpoint", _add_branch_arguments, _branch),
    "describe": RunAction("set title, tags and notes of a run", _add_describe_arguments, _describe),
    "rebuild": RunAction("restore the list of runs from their folders", _no_arguments, _rebuild),
    "export": RunAction("export runs to CSV, TensorBoard or MLflow", _add_export_arguments, _export),
}
