"""What a calibration changes, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from netloom.calibration.report import PartReport
from netloom.calibration.settings import NONE, CalibrationSettings

if TYPE_CHECKING:
    from netloom.calibration.part_calibration import SplitRows
    from netloom.runs import TrainedRun

FEW_ROWS = 200
# A relative change of the log loss below this is not worth a decision.
LEAST_CHANGE = 0.01


def is_better(reports: Sequence[PartReport]) -> bool:
    """Return whether calibrated probabilities have a clearly lower log loss on the test rows, on average over the
    outputs."""
    return _change(reports) < -LEAST_CHANGE


def _change(reports: Sequence[PartReport]) -> float:
    """Return the relative change of the log loss; 0 if no probabilities are calibrated."""
    changes = [
        report.after.measures["log_loss"] / max(report.before.measures["log_loss"], 1e-12) - 1
        for report in reports
        if report.before and report.after
    ]
    return float(np.mean(changes)) if changes else 0.0


def verdict(reports: Sequence[PartReport], settings: CalibrationSettings) -> str:
    """Return the change of the probabilities on the test rows in words, and whether to apply it."""
    calibrated = [report for report in reports if report.before and report.after]
    if all(report.before is None for report in reports):
        return "Numbers have no probabilities; their uncertainty is an interval."
    if settings.method == NONE or not calibrated:
        return "The probabilities are not changed."
    sentences = [_sentence(report) for report in calibrated]
    if is_better(reports):
        advice = "Calibration improves the probabilities."
    elif _change(reports) > LEAST_CHANGE:
        advice = "Calibration makes the probabilities of this run worse, so it is not recommended."
    else:
        advice = "Calibration hardly changes the probabilities of this run."
    return " ".join([*sentences, advice])


def _sentence(report: PartReport) -> str:
    assert report.before is not None
    assert report.after is not None
    before, after = report.before.measures, report.after.measures
    of = f" of {report.name}" if report.name else ""
    return (
        f"On the test rows, the ECE{of} changes from {before['ece']:.1%} to {after['ece']:.1%}, and the log loss from "
        f"{before['log_loss']:.3g} to {after['log_loss']:.3g}."
    )


def warnings(trained: TrainedRun, rows: SplitRows, settings: CalibrationSettings) -> Iterator[str]:
    """Yield what the figures depend on."""
    data = trained.data
    if settings.conformal is not None and (
        data.raw.times is not None or data.raw.contiguous or trained.project.data.split == "time"
    ):
        yield (
            "The rows are split by time. Conformal prediction assumes that later rows are like the validation rows; "
            "if the "
            "world changes, the coverage is lower."
        )
    if settings.conformal is not None and data.raw.groups is not None:
        yield "Rows of one group depend on each other, so the coverage holds for groups, and varies more than that "
        "of rows."
    if settings.method != NONE and len(rows.fitted) < FEW_ROWS:
        yield (
            f"Only {len(rows.fitted)} validation rows fit the map of probabilities; with fewer than {FEW_ROWS}, it is "
            "uncertain."
        )
