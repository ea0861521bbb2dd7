"""`netloom collected`: corrected examples of a project, a dataset version with them, and runs trained on it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, Failure, add_action, whole
from netloom.cli.selection import add_run_argument, find_run, load_trained_run
from netloom.cli.text import short, table
from netloom.core.errors import UsageError
from netloom.core.text import counted, plain, value_text

if TYPE_CHECKING:
    from netloom.monitoring.suspects import Suspect
    from netloom.runs import TrainedRun
    from netloom.store import Store
    from netloom.tasks.true_labels import TrueLabel

_ID_SHOWN = 8
_MAX_SUGGESTED = 1_000


class Collected(Command):
    """Lists, adds and deletes collected examples; makes a dataset version of them, and retrains a run on it."""

    name = "collected"
    summary = "collect corrected examples, and retrain a run on them"

    def add_arguments(self, parser: ArgumentParser) -> None:
        names = "list|suggest|add|relabel|delete|version|retrain"
        actions = parser.add_subparsers(dest="action", metavar=names, required=True)
        add_run_argument(add_action(actions, "list", "list the collected examples of the project of a run"))
        suggest = add_action(actions, "suggest", "list logged predictions of a run that are wrong or uncertain")
        add_run_argument(suggest)
        suggest.add_argument(
            "--count", metavar="N", type=whole(1, _MAX_SUGGESTED), default=10, help="number of rows (default: 10)"
        )
        add = add_action(actions, "add", "collect a row with its correct label")
        add_run_argument(add)
        of = add.add_mutually_exclusive_group(required=True)
        of.add_argument("--file", metavar="FILE", help="file with one row as for netloom predict; - for standard input")
        of.add_argument("--request", metavar="SOURCE", help="logged row, as netloom collected suggest lists it")
        add.add_argument("--label", metavar="LABEL", help="correct label (default: the reported label of the request)")
        relabel = add_action(actions, "relabel", "change the label of a collected example")
        add_run_argument(relabel)
        _add_example_id(relabel)
        relabel.add_argument("label", metavar="LABEL", help="correct label")
        delete = add_action(actions, "delete", "delete collected examples")
        add_run_argument(delete)
        _add_example_id(delete)
        version = add_action(actions, "version", "make a dataset version with the collected examples as training rows")
        add_run_argument(version)
        version.add_argument("--title", metavar="TITLE", help="title of the version (default: by the project)")
        retrain = add_action(actions, "retrain", "train on a dataset version from the weights of a run")
        add_run_argument(retrain)
        retrain.add_argument("--data", metavar="NAME", required=True, help="dataset version")

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.store import open_store

        actions = {
            "list": _list,
            "suggest": _suggest,
            "add": _add,
            "relabel": _relabel,
            "delete": _delete,
            "version": _version,
            "retrain": _retrain,
        }
        return actions[arguments.action](open_store(context.home), arguments, context)


def _add_example_id(parser: ArgumentParser) -> None:
    parser.add_argument("example", metavar="ID", help="id of the example, or its first characters")


def _list(store: Store, arguments: Namespace, context: Context) -> int:
    collected = store.collected(find_run(store, arguments.run).project_id).all()
    header = ("id", "collected", "origin", "predicted", "label")
    rows = [
        (
            example.id[:_ID_SHOWN],
            example.at[:16].replace("T", " "),
            short(example.origin, 30),
            "" if example.prediction is None else short(value_text(example.prediction), 30),
            short(value_text(example.label), 30),
        )
        for example in collected
    ]
    context.answer(
        [asdict(example) for example in collected], table(header, rows) if rows else "No examples collected yet."
    )
    return 0


def _suggest(store: Store, arguments: Namespace, context: Context) -> int:
    trained = load_trained_run(store, arguments.run)
    suggested, note = _suspects(store, trained, arguments.count)
    if note:
        context.note(plain(note))
    header = ("request", "predicted", "confidence", "reported label")
    rows = [
        (
            suspect.source,
            short(value_text(suspect.row.prediction), 30),
            "" if suspect.row.confidence is None else f"{suspect.row.confidence:.1%}",
            "" if suspect.row.label is None else short(value_text(suspect.row.label), 30),
        )
        for suspect in suggested
    ]
    values = [{"request": suspect.source, **asdict(suspect.row)} for suspect in suggested]
    context.answer(values, table(header, rows) if rows else "No logged prediction is wrong or uncertain.")
    return 0


def _suspects(store: Store, trained: TrainedRun, most: int) -> tuple[list[Suspect], str]:
    """Return logged rows to review that are not collected yet, and a note about logs that cannot be used."""
    from netloom.monitoring import logged_models
    from netloom.monitoring.suspects import MAX_LOGGED_ROWS, suspects

    run = _run_of(trained)
    models = [info.model for info in logged_models(store.home) if run.id in info.runs]
    known = {example.source for example in store.collected(run.project_id).all()}
    result = suspects(store.home, models, trained, most + min(len(known), MAX_LOGGED_ROWS))
    return [suspect for suspect in result.rows if suspect.source not in known][:most], result.note


def _add(store: Store, arguments: Namespace, context: Context) -> int:
    from netloom.cli.rows import read_row
    from netloom.monitoring.collecting import collect_input, collect_request, restriction_of
    from netloom.monitoring.suspects import MAX_LOGGED_ROWS

    trained = load_trained_run(store, arguments.run)
    run, true_label = _run_of(trained), _true_label(trained)
    if arguments.file is not None:
        if arguments.label is None:
            raise UsageError("A row of a file needs its correct label; give it as --label.")
        row = read_row(arguments.file, trained.preprocess.to_json())
        label = _checked(trained, true_label, row, arguments.label)
        example = collect_input(store, run, row, label, "Command line")
    else:
        if any(example.source == arguments.request for example in store.collected(run.project_id).all()):
            raise UsageError(
                f"{arguments.request[:80]!r} is collected already; netloom collected relabel changes its label."
            )
        suspects, _ = _suspects(store, trained, MAX_LOGGED_ROWS)
        suspect = next((suspect for suspect in suspects if suspect.source == arguments.request), None)
        if suspect is None:
            raise UsageError(
                f"{arguments.request[:80]!r} is not a logged row that can be collected; netloom collected suggest "
                f"{run.id[:8]} lists them."
            )
        if arguments.label is None and suspect.row.label is None:
            raise UsageError("The request has no reported label; give the correct one as --label.")
        text = true_label.text(suspect.row.label) if arguments.label is None else arguments.label
        example = collect_request(
            store, run.project_id, suspect, _checked(trained, true_label, suspect.row.input, text)
        )
    if restriction := restriction_of(trained.data):
        context.note(plain(restriction))
    count = len(store.collected(run.project_id).all())
    text = f"The project has {counted(count, 'collected example')}."
    context.answer({"id": example.id if example is not None else None, "examples": count}, text)
    return 0


def _relabel(store: Store, arguments: Namespace, context: Context) -> int:
    trained = load_trained_run(store, arguments.run)
    collected = store.collected(_run_of(trained).project_id)
    example_id = _example_id(store, _run_of(trained).project_id, arguments.example)
    row = next(example.row for example in collected.all() if example.id == example_id)
    label = _checked(trained, _true_label(trained), row, arguments.label)
    collected.relabel(example_id, label)
    shown = plain(value_text(label))
    context.answer({"id": example_id, "label": label}, f"The label of {example_id[:_ID_SHOWN]} is {shown}.")
    return 0


def _delete(store: Store, arguments: Namespace, context: Context) -> int:
    project_id = find_run(store, arguments.run).project_id
    example_id = _example_id(store, project_id, arguments.example)
    store.collected(project_id).delete({example_id})
    context.answer({"id": example_id}, f"Deleted the example {example_id[:_ID_SHOWN]}.")
    return 0


def _version(store: Store, arguments: Namespace, context: Context) -> int:
    from netloom.jobs import RunWeights
    from netloom.jobs.request import Context as JobContext
    from netloom.jobs.requests.monitoring import MakeVersion, version_title

    run = find_run(store, arguments.run)
    load_trained_run(store, run.id)  # a run without weights fails with a sentence
    count = len(store.collected(run.project_id).all())
    if not count:
        raise Failure("The project of this run has no collected examples; netloom collected add collects one.")
    title = arguments.title or version_title(store.artifacts(run.id).project().name, count)
    version = MakeVersion(RunWeights(run.id), title, "").compute(JobContext(context.home))
    text = (
        f"{plain(version.title)} has {version.rows:,} rows. Retrain the run on it:\n"
        f"netloom collected retrain {run.id[:8]} --data {version.name}"
    )
    context.answer(asdict(version), text)
    return 0


def _retrain(store: Store, arguments: Namespace, context: Context) -> int:
    from netloom.cli.run_progress import follow, report_run
    from netloom.data.dataset_lookup import find_dataset
    from netloom.runs.derived.retraining import retrain
    from netloom.runs.owner import terminal_owner

    run = find_run(store, arguments.run)
    dataset = find_dataset(context.home, arguments.data).name
    run_id = retrain(store, run.id, dataset, owner=terminal_owner())
    context.note(f"Run {run_id} continues from the weights of {run.id[:8]}; Ctrl-C stops it.")
    retrained, is_interrupted = follow(store, run_id, context)
    code = report_run(store, retrained, context, is_interrupted=is_interrupted)
    context.note(f"Compare them: netloom promote {run_id[:8]} --over {run.id[:8]}")
    return code


def _run_of(trained: TrainedRun) -> Any:
    if trained.run is None:
        raise Failure("This network does not belong to a run.")
    return trained.run


def _true_label(trained: TrainedRun) -> TrueLabel:
    from netloom.monitoring.labeled import true_label_of

    true_label = true_label_of(trained)
    if true_label is None:
        raise Failure(trained.objective.task.not_corrected)
    return true_label


def _checked(trained: TrainedRun, true_label: TrueLabel, row: Any, text: str) -> Any:
    """Return the label that a text stands for.

    Raises:
        UsageError: it is not a label of the data, or does not fit the row.
    """
    from netloom.core.errors import DataError

    try:
        label = true_label.parse(text)
        true_label.check_row(trained.data, row, label)
    except DataError as error:
        raise UsageError(str(error)) from None
    return label


def _example_id(store: Store, project_id: str, name: str) -> str:
    """Return the id of the collected example with this beginning.

    Raises:
        UsageError: no example has it, or several.
    """
    ids = [example.id for example in store.collected(project_id).all() if name and example.id.startswith(name)]
    if len(ids) != 1:
        count = "several collected examples begin" if ids else "no collected example begins"
        raise UsageError(f"{count.capitalize()} with {name[:40]!r}; netloom collected list lists their ids.")
    return ids[0]
