"""Make a calibration part of the predictions of a run, unless it is worse than none."""

from __future__ import annotations

from netloom.calibration.report import CalibrationReport
from netloom.core.errors import UsageError
from netloom.runs.prediction import applied_calibration
from netloom.store import RunArtifacts


def refuse_worse(report: CalibrationReport, *, even_if_worse: bool = False) -> None:
    """Check that a calibration is not worse than none on the test rows.

    Raises:
        UsageError: it is, and this was not accepted.
    """
    if report.worse and not even_if_worse:
        raise UsageError(
            "The calibration is not applied, because it makes the probabilities worse on the test rows. Choose another "
            'method, or "none" for thresholds only; or apply it even if it is worse.'
        )


def apply(artifacts: RunArtifacts, report: CalibrationReport, *, even_if_worse: bool = False) -> None:
    """Save a calibration with its run, which predicts with it from now on.

    Raises:
        UsageError: it is worse than none, and this was not accepted.
        OSError: it cannot be written.
    """
    refuse_worse(report, even_if_worse=even_if_worse)
    applied_calibration.save(artifacts, report.applied)
