"""`netloom predict`: a run's answers to rows of a file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from builder.cli.choose import find_trained
from builder.cli.command import Command, Context, Failure
from builder.cli.rows import read_rows
from builder.cli.text import number, table

if TYPE_CHECKING:
    from builder.train import TrainedRun


class Predict(Command):
    """Answers each row as the app does, from raw values."""

    name = "predict"
    summary = "answer the rows of a CSV or JSON file with a run's network"

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN")
        parser.add_argument(
            "file", metavar="FILE", help="CSV with a header, or JSON: one row, a list or a row a line; - for stdin"
        )

    def run(self, asked: Namespace, context: Context) -> int:
        from builder.data.rowfile import reported, summary
        from builder.store import open_store
        from builder.text import plain
        from builder.train.trained import read_fields

        trained = find_trained(open_store(context.home), asked.run)
        found = read_rows(asked.file, read_fields(trained))
        answers = reported(_answers(trained, found.rows), unreadable=found.unreadable)
        for remark in (*found.notes, *summary(answers)):
            context.note(plain(remark))
        lines = [(place, _said(answer["prediction"]), _share(answer)) for place, answer in enumerate(answers, 1)]
        context.answer(answers, table(("row", "prediction", "probability"), lines, right=("row", "probability")))
        return 0


def _answers(trained: TrainedRun, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The network's answers.

    Raises:
        Failure: a row does not fit; the message says which and why.
    """
    from builder.data import DataError
    from builder.train import predict

    try:
        return predict(trained, rows)
    except (DataError, ValueError, TypeError, OverflowError):
        for place, row in enumerate(rows, 1):
            _probe(trained, place, row)
        raise


def _probe(trained: TrainedRun, place: int, row: dict[str, Any]) -> None:
    from builder.data import DataError

    try:
        trained.data.encode(row, trained.fields)
    except DataError as error:
        raise Failure(f"Row {place}: {error}") from None
    except (ValueError, TypeError, OverflowError):
        names = ", ".join(f"{field.name} {field.kind} {field.shape}" for field in trained.data.schema.inputs)
        raise Failure(f"Row {place} does not have the shape that the network takes, which is {names}.") from None


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return number(value) if isinstance(value, float) else repr(value) if value == "" or str(value).isspace() else value


def _share(answer: dict[str, Any]) -> str:
    shares = answer.get("probabilities")
    return f"{max(shares.values()):.1%}" if shares else ""
