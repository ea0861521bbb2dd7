"""Numbers that are far from all others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.core.text import counted
from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import MAX_EXAMPLES, Finding
from netloom.data.quality.plots import outlier_histogram
from netloom.data.quality.quality_view import QualityView

RANK_SCALINGS = ("quantile", "normal")  # depend on the order of the values alone, which outliers do not upset
MAX_DEVIATIONS = 10.0  # robust standard deviations from the median
MAX_SHARE = 0.1  # of the values of a column; beyond that only a code such as 9999, which recurs, is not a long tail
MIN_ROWS = 20


class Outliers(QualityCheck):
    """Numbers of a column that are very far from the median."""

    title = "Outliers"
    order = 90

    def check(self, view: QualityView) -> Iterator[Finding]:
        for name, values in view.numbers.items():
            is_outlier = outliers(values)
            if not is_outlier.any() or view.column_settings(name).get("scale") in RANK_SCALINGS:
                continue
            present = values[~np.isnan(values)]
            farthest = values[is_outlier][np.argmax(np.abs(values[is_outlier] - np.median(present)))]
            low, high = np.quantile(present, [0.25, 0.75])
            yield Finding(
                "outliers",
                "warning",
                f"{name!r} has {counted(int(is_outlier.sum()), 'value')} very far from the others, such as "
                f"{farthest:.4g}; half of all are between {low:.4g} and {high:.4g}.",
                "Correct a wrong unit, or a code for a missing value such as 9999. If the values are true, scale the "
                "column by quantiles, so that they do not dominate the scaling of the others.",
                columns=(name,),
                rows=view.row_numbers(np.flatnonzero(is_outlier)[:MAX_EXAMPLES]),
                notes=tuple(f"{value:.4g}" for value in values[is_outlier][:MAX_EXAMPLES]),
                count=int(is_outlier.sum()),
                plot=outlier_histogram(values[~is_outlier & ~np.isnan(values)], values[is_outlier], name),
                fix=fixes.scale_by_quantiles(view, name),
                method=f"More than {MAX_DEVIATIONS:g} robust standard deviations (1.48 × the median absolute "
                "deviation) from the median, also on a logarithmic scale if all numbers are positive.",
            )


def outliers(values: np.ndarray) -> np.ndarray:
    """Return a mask of the numbers (n,) that are more than `MAX_DEVIATIONS` from the median; none if they are the
    long tail of a column.

    Positive numbers also have to be on a logarithmic scale: a skewed distribution is not an outlier.
    """
    present = values[~np.isnan(values)]
    if len(present) < MIN_ROWS:
        return np.zeros(len(values), dtype=bool)
    is_outlier = _is_beyond(values, present)
    if is_outlier.any() and present.min() > 0:
        is_outlier &= _is_beyond(np.log(values), np.log(present))
    return np.zeros_like(is_outlier) if _is_tail(values[is_outlier], len(present)) else is_outlier


def _is_tail(far: np.ndarray, count: int) -> bool:
    """Return whether so many of `count` values are far from the others, and most of them differ."""
    return len(far) > MAX_SHARE * count and 2 * np.unique(far, return_counts=True)[1].max() <= len(far)


def _is_beyond(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    from scipy.stats import median_abs_deviation

    median = np.median(present)
    deviation = median_abs_deviation(present, scale="normal")
    if not deviation:  # half of all values are equal; estimate from the 90% interval of a normal distribution instead
        low, high = np.quantile(present, [0.05, 0.95])
        deviation = (high - low) / 3.29
    if not deviation:
        return np.zeros(len(values), dtype=bool)
    return np.asarray(np.nan_to_num(np.abs(values - median)) > MAX_DEVIATIONS * deviation)
