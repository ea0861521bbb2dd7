"""`netloom optimize`: smaller and faster variants of a run, measured beside the original."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, Failure, OneOf, whole
from netloom.cli.files import add_force_argument, new_folder
from netloom.cli.selection import add_run_argument, load_trained_run
from netloom.cli.text import number, table
from netloom.cli.unused_options import option_names, refuse_unused
from netloom.core.errors import UsageError
from netloom.core.text import counted, plain, size

if TYPE_CHECKING:
    from netloom.compression import DocumentMethod, Method, Report
    from netloom.runs import TrainedRun
    from netloom.store import Store


class Optimize(Command):
    """Quantizes, factorizes, prunes and distills the network of a run, and measures size, time and metrics of each
    variant."""

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
            help="method; repeatable (default: all that need no training)",
        )
        parser.add_argument(
            "--amount",
            metavar="SHARE",
            type=float,
            help="share of the channels of each layer that structured pruning and distillation remove (default: 0.5)",
        )
        parser.add_argument(
            "--criterion",
            choices=("l1", "taylor", "gradient"),
            help="importance of channels for structured pruning: by their weights, their effect on the loss, or their "
            "gradients (default: l1)",
        )
        parser.add_argument(
            "--exit-at",
            metavar="LAYER",
            help="layer where rows can leave early, such as relu_1 or block_1.0 (default: the one that saves most)",
        )
        parser.add_argument(
            "--tolerance",
            metavar="POINTS",
            type=float,
            help="points of accuracy that an early exit may cost on validation rows (default: 0.5)",
        )
        parser.add_argument(
            "--epochs",
            metavar="N",
            type=whole(0, 10_000),
            help="make smaller networks runs of the project, trained for N epochs (distillation: always, by default as "
            "many as the original)",
        )
        parser.add_argument("--threads", metavar="N", type=whole(1, 256), help="threads for predictions (default: 1)")
        parser.add_argument(
            "--sensitivity",
            action="store_true",
            help="print how the loss changes when each layer alone is quantized or pruned, instead of making variants",
        )
        parser.add_argument("--to", metavar="FOLDER", help="write each variant as METHOD.onnx to a folder")
        add_force_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.compression import CompressionError, measure
        from netloom.compression.smaller_runs import finished_smaller_runs
        from netloom.store import open_store

        if arguments.sensitivity:
            names = option_names(arguments, "run", "sensitivity")
            refuse_unused(self, arguments, names, beside="--sensitivity, which makes no variants")
        if arguments.to is None:
            refuse_unused(self, arguments, ["force"], without="--to")
        methods = _chosen(arguments)
        folder = None if arguments.to is None else new_folder(Path(arguments.to), force=arguments.force)
        store = open_store(context.home)
        trained = load_trained_run(store, arguments.run)
        try:
            if arguments.sensitivity:
                return _answer_sensitivity(trained, context)
            as_runs = _trained_as_runs(methods, arguments)
            _start_and_follow(store, trained, as_runs, arguments.epochs, context)
            files = [method for method in methods if not (method in as_runs and method.needs_training)]
            runs = finished_smaller_runs(store, trained)
            report, variants = measure(trained, files, runs=runs, threads=arguments.threads or 1)
        except CompressionError as error:
            raise Failure(str(error)) from None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for variant in variants:
                (folder / f"{variant.method}.onnx").write_bytes(variant.content)
            context.note(f"Wrote {counted(len(variants), 'file')} to {folder}.")
        context.answer(report.as_json(), _text(report))
        return 0


def _chosen(arguments: Namespace) -> list[Method]:
    """Return the chosen methods with their settings.

    Raises:
        UsageError: there is no such method, or a setting does not belong to any of them.
    """
    from netloom.compression import DocumentMethod, registry

    arguments.method = [name.replace("-", "_") for name in arguments.method]
    for name in arguments.method:
        if name not in _methods():
            raise UsageError(f"There is no method {name[:60]!r}; choose one of {', '.join(_methods())}.")
    if arguments.amount is not None and not 0 < arguments.amount < 1:
        raise UsageError(f"--amount must be a share between 0 and 1, received {arguments.amount:g}.")
    if arguments.tolerance is not None and not 0 <= arguments.tolerance < 100:
        raise UsageError(f"--tolerance must be a number of points from 0 to 100, received {arguments.tolerance:g}.")
    settings = {name: getattr(arguments, name) for name in ("amount", "criterion", "exit_at")}
    settings["tolerance"] = None if arguments.tolerance is None else arguments.tolerance / 100
    settings = {name: value for name, value in settings.items() if value is not None}
    usual = [name for name, method in registry().items() if arguments.epochs is not None or not method.needs_training]
    chosen = [registry()[name] for name in arguments.method or usual]
    if arguments.epochs is not None and not any(isinstance(method, DocumentMethod) for method in chosen):
        raise UsageError(f"--epochs has no effect with {', '.join(method.name for method in chosen)}.")
    unused = [name for name in settings if not any(name in method.settings for method in chosen)]
    if unused:
        raise UsageError(f"{_option(unused[0])} has no effect with {', '.join(method.name for method in chosen)}.")
    return [method.with_settings(settings) for method in chosen]


def _option(name: str) -> str:
    """Return the option that sets an argument."""
    return f"--{name.replace('_', '-')}"


def _answer_sensitivity(trained: TrainedRun, context: Context) -> int:
    """Print the sensitivity of the layers."""
    from netloom.compression.sensitivity import CHANGES, changes, sensitivity

    measured = sensitivity(trained)
    rows = [
        (
            layer.title,
            f"{layer.parameters:,}",
            *("" if value is None else f"{value:+.3g}" for value in changes(layer).values()),
        )
        for layer in measured.layers
    ]
    header = ("layer", "parameters", *(title.lower() for title in CHANGES.values()))
    below = f"Changes relative to a loss of {measured.loss:.4g} on {measured.rows:,} {measured.split} rows."
    context.answer(asdict(measured), f"{table(header, rows, right=header[1:])}\n\n{below}")
    return 0


def _trained_as_runs(methods: list[Method], arguments: Namespace) -> list[DocumentMethod]:
    """Return the methods whose networks become runs: with `--epochs` all that can, otherwise those that are named and
    have no weights without training."""
    from netloom.compression import DocumentMethod

    able = [method for method in methods if isinstance(method, DocumentMethod)]
    if arguments.epochs is not None:
        return able
    return [method for method in able if method.needs_training and method.name in arguments.method]


def _start_and_follow(
    store: Store, trained: TrainedRun, methods: list[DocumentMethod], epochs: int | None, context: Context
) -> None:
    """Start a run for each method, and wait for its end. A method that does not fit is left out with a note, unless it
    is the only one."""
    from netloom.cli.run_progress import follow
    from netloom.compression import CompressionError
    from netloom.compression.smaller_runs import propose, start_smaller

    if trained.run is None:
        raise Failure("This run is not in the data folder any more.")
    for method in methods:
        count = trained.project.training.epochs if epochs is None else epochs
        try:
            proposal = propose(trained, method, count, store.home)
        except CompressionError as error:
            if len(methods) == 1:
                raise
            context.note(f"{method.name}: {error}")
            continue
        context.note(f"{method.title}: {plain(proposal.note)}")
        run, interrupted = follow(store, start_smaller(store, trained.run, proposal), context)
        if interrupted or run.state != "finished":
            ending = "was interrupted." if interrupted else f"{run.state}. {plain(run.reason)}".strip()
            raise Failure(f"The run {run.id} {ending}")


def _methods() -> list[str]:
    from netloom.compression import registry

    return list(registry())


def _text(report: Report) -> str:
    pareto = {item.method for item in report.pareto}
    rows = [
        (
            item.title,
            size(item.size),
            f"{item.p50_ms:.3g}",
            f"{item.p95_ms:.3g}",
            f"{item.batch_p50_ms:.3g}",
            f"{item.batch_p95_ms:.3g}",
            "" if item.memory is None else size(item.memory),
            f"{item.energy_j:.3g}",
            number(item.score),
            *(number(score) for _, score in item.output_scores),
            "" if item.agreement is None else f"{item.agreement:.1%}",
            "" if item.left_early is None else f"{item.left_early:.1%}",
            "yes" if item.method in pareto else "",
            report.verdict_of(item),
        )
        for item in report.measured
    ]
    header = (
        "variant", "size", "ms p50", "ms p95", "batch p50", "batch p95", "memory", "joules", report.metric,
        *(name for name, _ in report.measured[0].output_scores), "agreement", "exited early", "Pareto", "verdict",
    )  # fmt: skip
    used = [column for column, _ in enumerate(header) if any(row[column] for row in rows)]
    shown = [[row[column] for column in used] for row in rows]
    columns = [header[column] for column in used]
    lines = [plain(report.sentence), "", table(columns, shown, right=header[1:-2]), ""]
    lines += [f"{item.title}: {plain(f'{item.note} {item.losses}').strip()}" for item in report.measured[1:]]
    lines += [f"{name}: {plain(reason)}" for name, reason in report.failures]
    lines.append(
        f"Measured on single rows and on batches of {report.batch} with {report.threads} "
        f"thread{'s' * (report.threads > 1)}, alternating between the variants; metrics on {report.rows:,} test rows."
    )
    lines += [report.agreement_note] if report.agreement_note else []
    return "\n".join([*lines, report.costs])
