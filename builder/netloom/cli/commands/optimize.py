"""`netloom optimize`: smaller and faster variants of a run, measured beside the original."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, Failure, OneOf, whole
from netloom.cli.files import add_force_argument, new_folder
from netloom.cli.selection import add_run_argument, load_trained_run
from netloom.cli.text import number, table
from netloom.core.errors import UsageError
from netloom.core.text import plain, size

if TYPE_CHECKING:
    from netloom.compression import Measured, Report


class Optimize(Command):
    """Quantizes, factorizes and prunes the network of a run, and measures size, time and metrics of each variant."""

    name = "optimize"
    summary = "make a run smaller or faster, and measure the variants"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        parser.add_argument(
            "--method",
            metavar="METHOD",
            type=OneOf(_methods),
            action="append",
            default=[],
            help="method; repeatable (default: all)",
        )
        parser.add_argument(
            "--threads", metavar="N", type=whole(1, 256), default=1, help="threads for predictions (default: 1)"
        )
        parser.add_argument("--to", metavar="FOLDER", help="write each variant as METHOD.onnx to a folder")
        add_force_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.compression import CompressionError, measure
        from netloom.store import open_store

        for name in arguments.method:
            if name not in _methods():
                raise UsageError(f"There is no method {name[:60]!r}; choose one of {', '.join(_methods())}.")
        folder = None if arguments.to is None else new_folder(Path(arguments.to), force=arguments.force)
        trained = load_trained_run(open_store(context.home), arguments.run)
        try:
            report, variants = measure(trained, arguments.method, threads=arguments.threads)
        except CompressionError as error:
            raise Failure(str(error)) from None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for variant in variants:
                (folder / f"{variant.method}.onnx").write_bytes(variant.content)
            context.note(f"Wrote {len(variants)} files to {folder}.")
        context.answer(report.as_json(), _text(report))
        return 0


def _methods() -> list[str]:
    from netloom.compression import registry

    return list(registry())


def _text(report: Report) -> str:
    from netloom.compression.report import TITLES

    pareto = {item.method for item in report.pareto}
    rows = [
        (
            item.title,
            size(item.size),
            f"{item.p50_ms:.3g}",
            f"{item.p95_ms:.3g}",
            number(item.score),
            "" if item.agreement is None else f"{item.agreement:.1%}",
            "yes" if item.method in pareto else "",
            TITLES[item.verdict],
        )
        for item in report.measured
    ]
    header = ("variant", "size", "ms p50", "ms p95", report.metric, "agreement", "Pareto", "verdict")
    lines = [plain(report.sentence), "", table(header, rows, right=header[1:6]), ""]
    lines += [f"{item.title}: {plain(item.note)}{_losses(item)}" for item in report.measured[1:]]
    lines += [f"{name}: {plain(reason)}" for name, reason in report.failures]
    measured_on = (
        f"Measured on single rows with {report.threads} thread{'s' * (report.threads > 1)}, in turns; metrics on"
    )
    return "\n".join([*lines, f"{measured_on} {report.rows:,} test rows."])


def _losses(item: Measured) -> str:
    if not item.lost_classes:
        return ""
    losses = ", ".join(f"{plain(name)} −{loss:.1%}" for name, loss in item.lost_classes)
    return f" Recall lost: {losses}."
