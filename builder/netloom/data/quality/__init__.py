"""Checks for problems in data before training; each check is a class that yields findings."""

from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import Finding, Fix, Plot, Report
from netloom.data.quality.registry import quality_checks
from netloom.data.quality.report import report
from netloom.data.quality.summary import Quality, statistics

__all__ = [
    "Finding",
    "Fix",
    "Plot",
    "Quality",
    "QualityCheck",
    "Report",
    "quality_checks",
    "report",
    "statistics",
]
