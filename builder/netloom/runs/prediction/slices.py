"""Metrics on slices of the test rows, such as those with one value of a column: a mean over all rows hides them.

Slices come from the raw rows: the values of a column, quarters of a column of numbers, and the length of a text. Each
proportion has the interval of `training.uncertainty`. A slice is marked as worse if Fisher's exact test finds its
proportion below that of all other rows, corrected for the number of slices (Bonferroni); other metrics are not tested.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.text import number
from netloom.training.streaming import evaluation_rows, take
from netloom.training.uncertainty import Interval, wilson

if TYPE_CHECKING:
    from netloom.runs.prediction.trained_run import TrainedRun

# More rows are sampled, fewer per slice are not reported, and a column with more values is not sliced by value.
MAX_ROWS, MIN_ROWS, MAX_VALUES, MAX_FIELDS = 10_000, 20, 12, 60
MAX_P_VALUE = 0.05
# Of all slices of a run
MAX_SLICES = 120


@dataclass(frozen=True)
class Slice:
    """The rows of a split whose `field` is `value`, and a metric on them.

    `rest` is the metric on all other rows. `interval` is the 95% confidence interval of `score`, and `p` the one-sided
    p-value of a worse proportion, corrected for the number of slices; both are None for other metrics.
    """

    field: str
    value: str
    rows: int
    metric: str
    score: float
    rest: float
    interval: Interval | None = None
    p: float | None = None

    @property
    def is_worse(self) -> bool:
        """Whether the slice is significantly worse than the other rows."""
        return self.p is not None and self.p < MAX_P_VALUE


def slices(trained: TrainedRun, split: str = "test") -> list[Slice]:
    """Return the slices of a split, those with the worst metric first; empty for tasks without a metric of rows."""
    data, objective, task = trained.data, trained.objective, trained.objective.task
    if task.environment or task.generates_input or not len(data.split[split]):
        return []
    rows = evaluation_rows(data, split)
    if len(rows) > MAX_ROWS:
        rows = rows[np.sort(np.random.default_rng(0).choice(len(rows), MAX_ROWS, replace=False))]
    output = trained.output(take(data, trained.fields, rows.numpy()))

    def metrics(inside: np.ndarray) -> Mapping[str, float]:
        places = np.flatnonzero(inside)
        return objective.evaluate(output[places], data, rows[places], split, trained.calibration).metrics

    metric = task.headline_metric(metrics(np.ones(len(rows), dtype=bool)))
    if not metric:
        return []
    parts = [
        part
        for part in _parts([data.row(int(row)) for row in rows])
        if min(part[2].sum(), (~part[2]).sum()) >= MIN_ROWS
    ][:MAX_SLICES]
    is_proportion = objective.is_proportion(metric)
    measured = []
    for field, value, inside in parts:
        score, rest_score = (metrics(part).get(metric, math.nan) for part in (inside, ~inside))
        if not (math.isfinite(score) and math.isfinite(rest_score)):
            continue
        count, interval, p = int(inside.sum()), None, None
        if is_proportion:
            interval, p = (
                wilson(score, count),
                min(1.0, len(parts) * _p_value(score, count, rest_score, len(rows) - count)),
            )
        measured.append(Slice(field, value, count, metric, score, rest_score, interval, p))
    sign = 1 if task.higher_is_better(metric) else -1
    return sorted(measured, key=lambda part: sign * (part.score - part.rest))


def _p_value(score: float, count: int, rest_score: float, rest_count: int) -> float:
    """Return the p-value of Fisher's exact test that a proportion of `count` rows is below that of the other rows."""
    from scipy.stats import fisher_exact

    correct, rest_correct = round(score * count), round(rest_score * rest_count)
    table = [[correct, count - correct], [rest_correct, rest_count - rest_correct]]
    return float(fisher_exact(table, alternative="less").pvalue)


def _parts(rows: list[Mapping[str, Any]]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield a field, a value or a range of it, and which rows have it, (N,)."""
    for field in list(rows[0])[:MAX_FIELDS]:
        values = [row.get(field) for row in rows]
        if all(isinstance(value, (str, bool, int, np.bool_, type(None))) for value in values):
            texts = np.array(["missing" if value is None else str(value) or "empty" for value in values])
            distinct = np.unique(texts)
            if 1 < len(distinct) <= MAX_VALUES:
                yield from ((field, str(value), texts == value) for value in distinct)
                continue
            if isinstance(values[0], str):
                yield from _quarters(field, np.array([len(text.split()) for text in texts], dtype=float), " words")
                continue
        if all(isinstance(value, (int, float, np.integer, np.floating, type(None))) for value in values):
            yield from _quarters(field, np.array([math.nan if value is None else value for value in values], float))


def _quarters(field: str, values: np.ndarray, unit: str = "") -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield the quarters of numbers (N,), and the rows without a number."""
    known = np.isfinite(values)
    if not known.all():
        yield field, "missing", ~known
    if not known.any():
        return
    bounds = np.unique(np.quantile(values[known], [0, 0.25, 0.5, 0.75, 1]))
    for quarter, (low, high) in enumerate(pairwise(bounds)):
        is_last = quarter == len(bounds) - 2
        inside = known & (values >= low) & ((values <= high) if is_last else (values < high))
        yield field, f"{number(low)} to {'' if is_last else 'below '}{number(high)}{unit}", inside
