"""Calibration: probabilities that can be trusted, and networks that know when not to answer."""

from netloom.calibration.calibrate import calibrate, unavailable_reason
from netloom.calibration.report import CalibrationReport, PartReport
from netloom.calibration.settings import CalibrationSettings

__all__ = ["CalibrationReport", "CalibrationSettings", "PartReport", "calibrate", "unavailable_reason"]
