"""`netloom predict`: a run's answers to rows of a file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, Failure
from netloom.cli.rows import read_rows
from netloom.cli.selection import find_trained
from netloom.cli.text import number, table
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.runs import TrainedRun


class Predict(Command):
    """Answers each row as the app does, from raw values."""

    name = "predict"
    summary = "predict the rows of a CSV or JSON file with the network of a run"

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN")
        parser.add_argument(
            "file",
            metavar="FILE",
            help="CSV with a header, or JSON: one row, a list of rows or one row per line; - for stdin",
        )

    def run(self, asked: Namespace, context: Context) -> int:
        from netloom.data.tables.row_file import reported, summary
        from netloom.runs.trained_run import read_fields
        from netloom.store import open_store

        trained = find_trained(open_store(context.home), asked.run)
        found = read_rows(asked.file, read_fields(trained))
        answers = reported(_answers(trained, found.rows), unreadable=found.unreadable)
        for remark in (*found.notes, *summary(answers)):
            context.note(plain(remark))
        lines = [(place, _summary(answer), _share(answer)) for place, answer in enumerate(answers, 1)]
        context.answer(answers, table(("row", "prediction", "probability"), lines, right=("row", "probability")))
        return 0


def _answers(trained: TrainedRun, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The network's answers.

    Raises:
        Failure: a row does not fit; the message says which and why.
    """
    from netloom.data import DataError
    from netloom.runs import predict

    try:
        return predict(trained, rows)
    except (DataError, ValueError, TypeError, OverflowError):
        for place, row in enumerate(rows, 1):
            _probe(trained, place, row)
        raise


def _probe(trained: TrainedRun, place: int, row: dict[str, Any]) -> None:
    from netloom.data import DataError

    try:
        trained.data.encode(row, trained.fields)
    except DataError as error:
        raise Failure(f"Row {place}: {error}") from None
    except (ValueError, TypeError, OverflowError):
        names = ", ".join(f"{field.name} {field.kind} {field.shape}" for field in trained.data.schema.inputs)
        raise Failure(f"Row {place} does not have the shape that the network takes, which is {names}.") from None


def _summary(answer: dict[str, Any]) -> str:
    """The prediction; of a mask, the share of the pixels that each class has."""
    if "shares" in answer:
        return ", ".join(f"{plain(name)} {share:.0%}" for name, share in answer["shares"].items())
    return _said(answer["prediction"])


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if isinstance(value, float):
        return number(value)
    return repr(value) if value == "" or str(value).isspace() else str(value)


def _share(answer: dict[str, Any]) -> str:
    shares = answer.get("probabilities")
    return f"{max(shares.values()):.1%}" if shares else ""
