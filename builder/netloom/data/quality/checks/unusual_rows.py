"""Rows that are unusual as a whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.core.text import counted
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import MAX_EXAMPLES, Finding
from netloom.data.quality.plots import outlier_histogram
from netloom.data.quality.quality_view import QualityView

MIN_SCORE = 0.72  # of the isolation forest; about 0.5 is usual
TREES = 60
MIN_ROWS = 100


class UnusualRows(QualityCheck):
    """Rows that are unusual as a whole, even if each of their values is usual."""

    title = "Rows that are unusual as a whole"
    order = 170
    is_slow = True

    def check(self, view: QualityView) -> Iterator[Finding]:
        from sklearn.ensemble import IsolationForest

        columns = [
            np.where(np.isnan(values), np.nanmedian(values), values)
            for values in view.numbers.values()
            if not np.isnan(values).all()
        ]
        if len(columns) < 2 or len(view) < MIN_ROWS:
            return
        table = np.column_stack(columns)
        forest = IsolationForest(n_estimators=TREES, random_state=0).fit(table)
        scores = -forest.score_samples(table)
        unusual = np.flatnonzero(scores > MIN_SCORE)
        if not len(unusual):
            return
        worst = unusual[np.argsort(-scores[unusual])]
        yield Finding(
            "unusual_rows",
            "hint",
            f"{counted(len(unusual), 'row')} {'is' if len(unusual) == 1 else 'are'} unlike most others as a whole.",
            "Look at them: they may be errors, or the most interesting rows.",
            rows=view.row_numbers(worst[:MAX_EXAMPLES]),
            notes=tuple(f"{scores[position]:.2f}" for position in worst[:MAX_EXAMPLES]),
            count=len(unusual),
            plot=outlier_histogram(scores, np.array([]), "Score"),
            method=f"An isolation forest of {TREES} trees (scikit-learn) on the numeric columns; scores above "
            f"{MIN_SCORE} are reported, about 0.5 is usual.",
        )
