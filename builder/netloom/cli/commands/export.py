"""`netloom export`: write a trained network in a format that works without Netloom."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from netloom.cli.command import Command, Context, OneOf
from netloom.cli.files import add_force_argument, new_file
from netloom.cli.selection import add_model_argument, add_run_argument, load_trained_run
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError
from netloom.core.text import size

DEFAULT = "bundle"
# Aliases of formats.
ALIASES = {"python": "bundle"}


class Export(Command):
    """Exports the network of a run, and compares the predictions of the file with those of the run."""

    name = "export"
    summary = "export the network of a run"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        parser.add_argument(
            "--format",
            metavar="FORMAT",
            type=OneOf(_formats),
            default=DEFAULT,
            help=f"export format (default: {DEFAULT})",
        )
        parser.add_argument(
            "--to", metavar="PATH", default=".", help="output file or folder (default: the current folder)"
        )
        parser.add_argument(
            "--include-runtime",
            action="store_true",
            help="include ONNX Runtime in a web page; npm downloads it the first time",
        )
        add_model_argument(parser)
        add_force_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.export import destination, export, export_formats, registry
        from netloom.export.model_card import export_card
        from netloom.store import open_store

        name = ALIASES.get(arguments.format, arguments.format)
        if name not in _formats():
            raise UsageError(
                f"There is no export format {arguments.format[:60]!r}; choose one of {', '.join(_formats())}."
            )
        if not registry()[name].runtime:
            names = ", ".join(other.name for other in export_formats() if other.runtime)
            refuse_unused(self, arguments, ["include_runtime"], without=f"--format {names}")
        store = open_store(context.home)
        trained = load_trained_run(store, arguments.run)
        if arguments.model is not None:
            from netloom.compression.opened_variant import open_variant

            trained = open_variant(trained, Path(arguments.model))
        path = new_file(destination(trained, name, arguments.to), force=arguments.force)
        home = context.home if arguments.include_runtime else None
        report = export(trained, name, path, export_card(store, trained), runtime_home=home)
        byte_count = report.path.stat().st_size
        value = {
            "run": trained.run.id if trained.run else "",
            "format": name,
            "file": str(report.path),
            "bytes": byte_count,
            "difference": report.difference,
            "tolerance": report.tolerance,
        }
        context.answer(value, f"Wrote {report.path} ({size(byte_count)}). {report.verdict()}")
        return 0


def _formats() -> list[str]:
    from netloom.export import export_formats

    return [*(item.name for item in export_formats()), *ALIASES]
