"""What one should know about data before training on it: one check per class, each of which yields findings."""

from netloom.data.quality.deduplication import without_repeats
from netloom.data.quality.finding import Finding, Fix, Plot, Report
from netloom.data.quality.report import CHECKS, report
from netloom.data.quality.summary import Quality, statistics

__all__ = ["CHECKS", "Finding", "Fix", "Plot", "Quality", "Report", "report", "statistics", "without_repeats"]
