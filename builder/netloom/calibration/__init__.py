"""Calibration of probabilities, abstention, conformal prediction, and out-of-distribution scores."""

from netloom.calibration.application import apply, refuse_worse
from netloom.calibration.calibrate import calibrate, unavailable_reason
from netloom.calibration.report import CalibrationReport, PartReport
from netloom.calibration.settings import CalibrationSettings

__all__ = [
    "CalibrationReport",
    "CalibrationSettings",
    "PartReport",
    "apply",
    "calibrate",
    "refuse_worse",
    "unavailable_reason",
]
