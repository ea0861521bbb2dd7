"""Drift: whether rows that a network meets in use still come from the distribution of its training rows.

`two_sample` compares two samples of one quantity and `multivariate` whole rows; `monitored` has the quantities of the
rows of a run, `report` puts them together, and `stream` finds changes in a stream of numbers.
"""

from netloom.drift.report import Drift, DriftReport, compare
from netloom.drift.stream import Adwin, PageHinkley

__all__ = ["Adwin", "Drift", "DriftReport", "PageHinkley", "compare"]
