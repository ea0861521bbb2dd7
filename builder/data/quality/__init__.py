"""What one should know about data before training on it: one check per class, each of which yields findings."""

from builder.data.quality.finding import Finding, Fix, Plot, Report
from builder.data.quality.repeats import without_repeats
from builder.data.quality.reporting import CHECKS, report
from builder.data.quality.summary import Quality, statistics

__all__ = ["CHECKS", "Finding", "Fix", "Plot", "Quality", "Report", "report", "statistics", "without_repeats"]
