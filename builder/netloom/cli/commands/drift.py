"""`netloom drift`: whether rows still come from the distribution that a run was trained on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, Failure
from netloom.cli.rows import read_rows
from netloom.cli.selection import add_run_argument, add_seed_argument, load_trained_run
from netloom.cli.text import drift_table
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.drift import DriftReport


class DriftCommand(Command):
    """Compares the rows of a file with the held-out rows of a run."""

    name = "drift"
    summary = "compare the rows of a CSV or JSON file with the data of a run"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        parser.add_argument("file", metavar="FILE", help="rows as for netloom predict; - for standard input")
        add_seed_argument(parser, "random seed of the sample of rows")

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.core.errors import DataError
        from netloom.drift import compare
        from netloom.store import open_store

        trained = load_trained_run(open_store(context.home), arguments.run)
        file = read_rows(arguments.file, trained.preprocess.to_json())
        for note in file.notes:
            context.note(plain(note))
        try:
            report = compare(trained, file.rows, arguments.seed)
        except DataError as error:
            raise Failure(str(error)) from None
        context.answer(report.as_json(), _text(report))
        return 0


def _text(report: DriftReport) -> str:
    head = [plain(report.sentence), *([report.note] if report.note else [])]
    return "\n".join([*head, "", drift_table(report)])
