"""`netloom runs` and `netloom evaluate`: list and manage runs, and measure them on a split of their data."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, add_action
from netloom.cli.run_actions import ACTIONS
from netloom.cli.run_list import add_list_arguments, check_list_arguments, list_runs
from netloom.cli.selection import add_run_argument, find_run, load_trained_run
from netloom.cli.text import metrics_table, number, short, table
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.store import Run
    from netloom.training import Evaluation
    from netloom.training.objectives.evaluation import ScoreRow

SPLITS = ("test", "validation", "train")
CONFUSION_SHOWN = 15


class Runs(Command):
    """Lists the runs, newest first, or runs a subcommand of `run_actions`."""

    name = "runs"
    summary = "list, compare and manage runs"

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="list|" + "|".join(ACTIONS))
        add_list_arguments(add_action(actions, "list", "list, filter and sort the runs (default)"))
        for name, run_action in ACTIONS.items():
            run_action.add_arguments(add_action(actions, name, run_action.summary))

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.store import open_store

        check_list_arguments(arguments)
        store = open_store(context.home)
        if arguments.action in ACTIONS:
            return ACTIONS[arguments.action].run(store, arguments, context)
        list_runs(store, arguments, context)
        return 0


class Evaluate(Command):
    """Measures the network of a run on a split of its data."""

    name = "evaluate"
    summary = "evaluate the network of a run on the rows of a split"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        parser.add_argument("--split", choices=SPLITS, default=SPLITS[0], help="split to evaluate (default: test)")

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.runs import evaluate, evaluation
        from netloom.store import open_store
        from netloom.training.chance import is_at_chance

        store = open_store(context.home)
        run = find_run(store, arguments.run)
        # The worker measured the test split with these same weights when the run ended.
        result = evaluation(store, run.id) if arguments.split == SPLITS[0] and run.ended_at else None
        result = result or evaluate(load_trained_run(store, run.id), arguments.split)
        value = {"run": run.id, **result.as_json(), "at_chance": is_at_chance(result)}
        context.answer(value, "\n".join(evaluation_lines(run, result)))
        return 0


# The first columns of reports that name a row; all others are numbers.
_NAMED = ("class", "series", "step")


def evaluation_lines(run: Run, result: Evaluation) -> list[str]:
    from netloom.runs.history.setting_changes import change_sentence
    from netloom.training.chance import score_notes
    from netloom.training.objectives.evaluation import HORIZON_HEADING, ClassReport, ScoreTable

    lines = [f"{plain(run.title)} ({run.id}) on {result.rows:,} {result.split} rows", metrics_table(result)]
    lines += [f"! {plain(sentence)}" for sentence in score_notes(result)]
    lines += [change_sentence(change) for change in run.summary.changes]
    lines += [plain(result.unit)] if result.unit else []
    for part in result.parts:
        if isinstance(part, (ClassReport, ScoreTable)) and part.rows:
            lines += ["", _scores(part.rows)]
    if by_step := result.horizon_table:
        header = tuple(by_step[0])
        rows = [[_cell(item[name]) for name in header] for item in by_step]
        lines += ["", f"{HORIZON_HEADING}:", table(header, rows, right=header[1:])]
    for part in result.parts:
        if isinstance(part, ClassReport) and 0 < len(part.confusion) <= CONFUSION_SHOWN:
            names = [short(name, 20) for name in part.classes]
            rows = [[name, *map(str, counts)] for name, counts in zip(names, part.confusion, strict=True)]
            lines += ["", table(["true \\ predicted", *names], rows, right=names)]
    for output in result.outputs or ():
        text = f"{plain(output['name'])}: {output['objective'].lower()}, weight {output['weight']:g}"
        lines += ["", text]
    if result.mistakes:
        header = ("row", "loss", "true", "predicted", "confidence")
        worst = [
            (item.row, number(item.loss), item.target, item.predicted, _cell(item.confidence))
            for item in result.mistakes
        ]
        lines += ["", "Worst examples:", table(header, worst[:5], right=("row", "loss", "confidence"))]
    return lines


def _scores(report: list[ScoreRow]) -> str:
    by_class = ("class", "precision", "recall", "f1", "examples")
    header = by_class if report[0].keys() >= set(by_class) else tuple(report[0])
    rows = [[_cell(item[name]) for name in header] for item in report]
    return table(header, rows, right=header[1:] if header[0] in _NAMED else ("row",))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, (int, float)) else short(str(value), 30)
