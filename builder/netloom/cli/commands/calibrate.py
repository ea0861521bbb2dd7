"""`netloom calibrate`: corrects the probabilities of a run, and chooses when it abstains."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, OneOf, real, whole
from netloom.cli.selection import (
    add_checkpoint_argument,
    add_run_argument,
    add_seed_argument,
    find_run,
    load_trained_run,
)
from netloom.cli.text import measures, number, table
from netloom.cli.unused_options import option_names, refuse_unused
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.calibration import CalibrationReport, CalibrationSettings, PartReport
    from netloom.calibration.measures import Measured
    from netloom.store import RunArtifacts

MAX_PASSES = 200


def _methods() -> list[str]:
    from netloom.calibration.scaling import calibrators
    from netloom.calibration.settings import NONE

    return [*calibrators(), NONE]


class Calibrate(Command):
    """Fits a calibration on the validation rows, measures it on the test rows, and makes it part of the predictions."""

    name = "calibrate"
    summary = "calibrate the probabilities of a run, and choose when it abstains"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        parser.add_argument(
            "--method",
            metavar="NAME",
            type=OneOf(_methods),
            default="temperature",
            help="method (default: temperature)",
        )
        parser.add_argument(
            "--abstain-risk",
            metavar="X",
            type=real,
            help="abstain so that at most this share of the answered validation rows is wrong",
        )
        parser.add_argument(
            "--abstain-coverage",
            metavar="X",
            type=real,
            help="abstain, but answer at least this share of the validation rows",
        )
        parser.add_argument(
            "--conformal", metavar="X", type=real, help="error rate of prediction sets, or of intervals of numbers"
        )
        parser.add_argument(
            "--sets", choices=("lac", "aps"), default="lac", help="how prediction sets are built (default: lac)"
        )
        parser.add_argument(
            "--ood", metavar="DATASET", help="measure out-of-distribution scores on this dataset and on corruptions"
        )
        parser.add_argument(
            "--ood-score", choices=("softmax", "energy"), default="", help="abstain by this score (default: by none)"
        )
        parser.add_argument(
            "--dropout", metavar="N", type=whole(0, MAX_PASSES), default=0, help="passes of Monte Carlo dropout"
        )
        parser.add_argument("--ensemble", metavar="RUN", action="append", help="average with this run (repeatable)")
        parser.add_argument("--dry-run", action="store_true", help="measure, and leave the predictions as they are")
        parser.add_argument(
            "--even-if-worse",
            action="store_true",
            help="apply the calibration even if it makes the probabilities of the test rows worse",
        )
        parser.add_argument("--reset", action="store_true", help="remove the calibration of the run")
        add_checkpoint_argument(parser)
        add_seed_argument(parser, "random seed of dropout and corruptions")

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.calibration import apply, calibrate
        from netloom.calibration.stored_measures import store_measures
        from netloom.runs.prediction import applied_calibration
        from netloom.store import open_store

        if arguments.reset:
            refuse_unused(self, arguments, option_names(arguments, "run", "reset"), beside="--reset")
        if arguments.conformal is None:
            refuse_unused(self, arguments, ["sets"], without="--conformal")
        store = open_store(context.home)
        run = find_run(store, arguments.run)
        artifacts = store.artifacts(run.id)
        if arguments.reset:
            return _reset(run.id, artifacts, context)
        settings = _settings(arguments, [find_run(store, name).id for name in arguments.ensemble or ()])
        settings.check()
        trained = load_trained_run(store, run.id, arguments.checkpoint or "")
        weights = applied_calibration.run_weights_checksum(artifacts, arguments.checkpoint or "")
        report = calibrate(
            trained,
            settings,
            weights=weights,
            ensemble_members=[load_trained_run(store, name) for name in settings.ensemble],
            home=context.home,
        )
        store_measures(artifacts, report)
        is_saved = not arguments.dry_run and (arguments.even_if_worse or not report.worse)
        if is_saved:
            apply(artifacts, report, even_if_worse=arguments.even_if_worse)
        if arguments.dry_run:
            done = "The predictions are unchanged (--dry-run)."
        elif not is_saved:
            done = "The predictions are unchanged; --even-if-worse applies the calibration all the same."
        elif weights == applied_calibration.run_weights_checksum(artifacts):
            done = "Predictions use this calibration now."
        else:
            done = (
                f"The calibration is saved, but predictions do not use it: it belongs to the {arguments.checkpoint} "
                "weights, and the run predicts with others."
            )
        context.answer({**asdict(report), "saved": is_saved}, f"{_text(report)}\n{done}")
        return 0


def _reset(run_id: str, artifacts: RunArtifacts, context: Context) -> int:
    had = artifacts.calibration_stamp() is not None
    artifacts.delete_calibration()
    text = "The calibration was removed." if had else "The run has no calibration."
    context.answer({"run_id": run_id, "removed": had}, text)
    return 0


def _settings(arguments: Namespace, ensemble: list[str]) -> CalibrationSettings:
    from netloom.calibration import CalibrationSettings

    if arguments.dropout == 1:
        raise UsageError(f"--dropout takes 2 to {MAX_PASSES} passes, received 1.")
    return CalibrationSettings(
        method=arguments.method,
        abstain_risk=arguments.abstain_risk,
        abstain_coverage=arguments.abstain_coverage,
        conformal=arguments.conformal,
        sets=arguments.sets,
        measure_ood=arguments.ood is not None,
        ood_dataset=arguments.ood or "",
        ood_score=arguments.ood_score,
        dropout_passes=arguments.dropout,
        ensemble=tuple(ensemble),
        seed=arguments.seed,
    )


def _text(report: CalibrationReport) -> str:
    lines = [line for part in report.parts for line in _part_lines(part)]
    for score in report.scores:
        rows = [(plain(item.other), item.rows, number(item.auroc), f"{item.fpr95:.1%}") for item in score.separates]
        lines += [f"{score.title}: accepts {score.accepted:.1%} of the test rows"]
        lines += [table(("other rows", "rows", "AUROC", "FPR at 95%"), rows, right=("rows", "AUROC", "FPR at 95%"))]
    for ensemble in report.ensembles:
        names = list(ensemble.before)
        values = [(name, number(ensemble.before[name]), number(ensemble.after[name])) for name in names]
        lines += [f"mean of {ensemble.members} predictions ({ensemble.kind})"]
        lines += [table(("measure", "one", "mean"), values, right=("one", "mean"))]
    return "\n".join([*lines, *report.warnings, plain(report.verdict)])


def _part_lines(part: PartReport) -> list[str]:
    """Return the measures of one output, and what its thresholds give on the test rows."""
    of = f"{plain(part.name)}: " if part.name else ""
    lines = [f"{of}{_rows(part)}"]
    if part.before is not None:
        lines.append(_measures(part.before, part.after))
    if part.risk_coverage is not None:
        curve = part.risk_coverage
        lines.append(f"area under the risk-coverage curve {number(curve.area)} (best order: {number(curve.best_area)})")
    if part.selected is not None:
        risk = (
            ""
            if part.selected.risk is None
            else f" with {part.selected.risk:.1%} wrong{_range(part.selected.risk_interval)}"
        )
        lines.append(
            f"answers {part.selected.coverage:.1%} of the test rows{_range(part.selected.coverage_interval)}{risk}"
        )
    if part.sets is not None:
        lines.append(
            f"prediction sets contain the true class of {part.sets.coverage:.1%} of the test rows"
            f"{_range(part.sets.interval)}; {part.sets.mean_size:.2f} classes on average"
        )
    if part.interval is not None:
        interval = part.interval
        names = interval.names or range(1, len(interval.coverage) + 1)
        rows = zip(names, interval.coverage, interval.width, strict=True)
        cells = [(plain(str(name)), f"{coverage:.1%}", number(width)) for name, coverage, width in rows]
        lines.append(table(("number", "coverage", "width"), cells, right=("coverage", "width")))
    if part.decision is not None:
        decision = part.decision
        lines.append(
            f"objects are predicted from a score of {decision.score:.1%} of the network, a confidence of "
            f"{decision.confidence:.1%}; on the test rows: {measures(decision.metrics)}"
        )
    return [*lines, *part.missed]


def _rows(part: PartReport) -> str:
    uses = ((part.fitted, "the calibration map"), (part.chosen, "thresholds"))
    used = [f"{count:,} validation rows for {purpose}" for count, purpose in uses if count]
    return ", ".join([*used, f"{part.tested:,} test rows"])


def _measures(before: Measured, after: Measured | None) -> str:
    from netloom.tasks import metric

    rows: list[tuple[Any, ...]] = []
    for name, value in before.measures.items():
        cells = [metric(name).title, number(value), _range(before.intervals.get(name))]
        if after is not None:
            cells += [number(after.measures[name]), _range(after.intervals.get(name))]
        rows.append(tuple(cells))
    header = ("measure", "before", "95% CI", *(("after", "95% CI of after") if after is not None else ()))
    return table(header, rows, right=("before", "after"))


def _range(interval: tuple[float, float] | None) -> str:
    return f" ({number(interval[0])} – {number(interval[1])})" if interval else ""
