"""`netloom export`: a trained network to take away."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from netloom.cli.command import Command, Context
from netloom.cli.files import force_argument, new_file
from netloom.cli.selection import find_trained
from netloom.core.errors import UsageError
from netloom.core.text import size

DEFAULT = "bundle"
# What people call a format as well.
ALSO = {"python": "bundle"}


class Export(Command):
    """Writes a run's network with its best weights."""

    name = "export"
    summary = "export the network of a run"

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN")
        parser.add_argument(
            "--format",
            metavar="F",
            default=DEFAULT,
            help=f"export format (default: {DEFAULT}; python is an alias)",
        )
        parser.add_argument("--to", metavar="PATH", default=".", help="output file or folder (default: this folder)")
        force_argument(parser)

    def run(self, asked: Namespace, context: Context) -> int:
        from netloom.export import destination, export, export_formats
        from netloom.store import open_store

        known, wanted = [item.name for item in export_formats()], ALSO.get(asked.format, asked.format)
        if wanted not in known:
            raise UsageError(
                f"There is no export format {asked.format[:60]!r}; choose one of {', '.join([*known, *ALSO])}."
            )
        trained = find_trained(open_store(context.home), asked.run)
        path = new_file(destination(trained, wanted, asked.to), force=asked.force)
        report = export(trained, wanted, path)
        count = report.path.stat().st_size
        value = {
            "run": trained.run.id if trained.run else "",
            "format": wanted,
            "file": str(report.path),
            "bytes": count,
            "difference": report.difference,
            "tolerance": report.tolerance,
        }
        context.answer(value, f"Wrote {report.path} ({size(count)}). {report.verdict()}")
        return 0
