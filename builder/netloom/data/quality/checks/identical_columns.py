"""Columns with the same information."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import Finding
from netloom.data.quality.quality_view import QualityView

MIN_CORRELATION = 0.9999
MAX_COLUMNS = 2_000  # of numbers; the correlation matrix of more does not fit a quick report


class IdenticalColumns(QualityCheck):
    """Pairs of columns where one determines the other."""

    title = "Columns with the same information as another"
    order = 120

    def check(self, view: QualityView) -> Iterator[Finding]:
        for first, second in (*_linear_pairs(view), *_renamed_pairs(view)):
            yield Finding(
                "identical_columns",
                "hint",
                f"{second!r} has the same information as {first!r}: one follows from the other.",
                "Leave one of them out; with both, their weights are arbitrary, and explanations divide the "
                "attribution between them.",
                columns=(first, second),
                fix=fixes.ignore(view, [second]),
            )


def _linear_pairs(view: QualityView) -> Iterator[tuple[str, str]]:
    """Pairs of numeric columns that are linear functions of each other and miss values in the same rows."""
    names = [name for name in view.numbers if name not in view.constant_columns][:MAX_COLUMNS]
    if len(names) < 2:
        return
    values = np.column_stack([view.numbers[name] for name in names])
    is_missing = np.isnan(values)
    # The mean adds nothing to a covariance
    filled = np.where(is_missing, np.nanmean(values, axis=0), values)
    centered = filled - filled.mean(0)
    centered /= np.maximum(np.sqrt((centered**2).sum(0)), 1e-300)
    is_linear = np.triu(np.abs(centered.T @ centered) > MIN_CORRELATION, 1)
    reported: set[int] = set()  # of three equal columns, the third is reported once
    for first, second in zip(*np.nonzero(is_linear), strict=True):
        if second not in reported and (is_missing[:, first] == is_missing[:, second]).all():
            reported.add(int(second))
            yield names[first], names[second]


def _renamed_pairs(view: QualityView) -> Iterator[tuple[str, str]]:
    """Pairs of categorical columns whose categories correspond one to one."""
    names: dict[bytes, str] = {}
    for name, codes in view.category_codes.items():
        if name in view.constant_columns:
            continue
        # Numbered by first appearance, columns that differ in the names of their categories become equal.
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        key = first[inverse.ravel()].tobytes()
        if key in names:
            yield names[key], name
        names.setdefault(key, name)
