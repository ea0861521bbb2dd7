"""What a calibration changes, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from netloom.calibration.report import PartReport
from netloom.calibration.settings import NONE, CalibrationSettings
from netloom.data.splits.registry import follows_time

if TYPE_CHECKING:
    from netloom.calibration.measures import Measured
    from netloom.calibration.part_calibration import SplitRows
    from netloom.runs import TrainedRun

FEW_ROWS = 200
# A relative change of the log loss below this is not worth a decision.
MIN_CHANGE = 0.01
# A rise of the ECE above this is mentioned; a smaller one is common by chance.
ECE_RISE = 0.005


def is_better(reports: Sequence[PartReport]) -> bool:
    """Return whether calibrated probabilities have a clearly lower log loss on the test rows, on average over the
    outputs."""
    return _change(reports) < -MIN_CHANGE and not _may_be_chance(reports)


def is_worse(reports: Sequence[PartReport]) -> bool:
    """Return whether calibrated probabilities have a clearly higher log loss on the test rows."""
    return _change(reports) > MIN_CHANGE and not _may_be_chance(reports)


def _change(reports: Sequence[PartReport]) -> float:
    """Return the relative change of the log loss; 0 if no probabilities are calibrated."""
    changes = [
        after.measures["log_loss"] / max(before.measures["log_loss"], 1e-12) - 1
        for _, before, after in _calibrated(reports)
    ]
    return float(np.mean(changes)) if changes else 0.0


def _may_be_chance(reports: Sequence[PartReport]) -> bool:
    """Return whether no output has a change of the log loss whose interval excludes 0."""
    intervals = [report.log_loss_change for report in reports]
    return all(interval is None or interval[0] <= 0 <= interval[1] for interval in intervals)


def _calibrated(reports: Sequence[PartReport]) -> list[tuple[str, Measured, Measured]]:
    """Return name, and measures before and after, of the outputs whose probabilities are calibrated."""
    return [(report.name, report.before, report.after) for report in reports if report.before and report.after]


def verdict(reports: Sequence[PartReport], settings: CalibrationSettings) -> str:
    """Return the change of the probabilities on the test rows in words.

    The log loss decides, as it has its lowest expectation for the true probabilities. The ECE does not: it is biased on
    few rows, and equal probabilities for all rows can have a low one.
    """
    return " ".join([_probabilities(reports, settings), *_low_coverage(reports, settings)])


def _low_coverage(reports: Sequence[PartReport], settings: CalibrationSettings) -> Iterator[str]:
    """Yield a sentence for each output whose prediction sets have a coverage clearly below the chosen one."""
    for report in reports:
        if report.sets is None or report.sets.interval is None or settings.conformal is None:
            continue
        asked = 1 - settings.conformal
        if report.sets.interval[1] < asked:
            of = f" of {report.name}" if report.name else ""
            yield (
                f"The prediction sets{of} contain the true class of {report.sets.coverage:.1%} of the test rows "
                f"instead of {asked:.0%}: the test rows differ from the validation rows, so do not rely on these sets."
            )


def _probabilities(reports: Sequence[PartReport], settings: CalibrationSettings) -> str:
    calibrated = _calibrated(reports)
    if all(report.before is None for report in reports):
        return "Numbers have no probabilities; their uncertainty is an interval."
    if settings.method == NONE or not calibrated:
        return "The probabilities are not changed."
    sentences = [_sentence(*part) for part in calibrated]
    change = _change(reports)
    if abs(change) <= MIN_CHANGE:
        sentences.append("By the log loss, calibration hardly changes the probabilities of this run.")
    elif _may_be_chance(reports):
        sentences.append("The test rows are too few to show whether calibration changes the log loss.")
    elif change > 0:
        sentences.append("By the log loss, calibration makes the probabilities worse, so it is not recommended.")
    else:
        sentences.append("By the log loss, calibration improves the probabilities.")
        if any(after.measures["ece"] - before.measures["ece"] > ECE_RISE for _, before, after in calibrated):
            sentences.append("The ECE rises, so compare the reliability diagrams before you apply it.")
    return " ".join(sentences)


def _sentence(name: str, before: Measured, after: Measured) -> str:
    of = f" of {name}" if name else ""
    old, new = before.measures, after.measures
    return (
        f"On the test rows, the ECE{of} changes from {old['ece']:.1%} to {new['ece']:.1%}, and the log loss from "
        f"{old['log_loss']:.3g} to {new['log_loss']:.3g}."
    )


def warnings(trained: TrainedRun, rows: SplitRows, settings: CalibrationSettings) -> Iterator[str]:
    """Yield what the figures depend on."""
    data = trained.data
    if settings.conformal is not None and follows_time(data.raw, trained.project.data):
        yield (
            "The rows are split by time. Conformal prediction assumes that later rows are like the validation rows; if "
            "the data changes over time, the coverage can be lower."
        )
    if settings.conformal is not None and data.raw.groups is not None:
        yield (
            "Rows of one group depend on each other. The coverage holds on average over groups, and varies more than "
            "that of independent rows."
        )
    if settings.method != NONE and len(rows.fitted) < FEW_ROWS:
        yield (
            f"The calibration map is fitted on only {len(rows.fitted)} validation rows; with fewer than "
            f"{FEW_ROWS}, it is uncertain."
        )
