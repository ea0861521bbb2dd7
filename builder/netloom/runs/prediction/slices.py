"""Metrics on slices of the test rows, such as those with one value of a column: a mean over all rows hides them.

Slices come from the raw rows: the values of a column, quarters of a column of numbers, and the length of a text. Each
proportion has the interval of `training.uncertainty`. A slice is marked as worse if a test finds its proportion below
that of all other rows, corrected for the number of slices (Bonferroni). The test is Fisher's exact test, or a jackknife
of whole groups or ranges of time if rows depend on each other. Other metrics are not tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.text import number
from netloom.training.streaming import evaluation_rows, take
from netloom.training.uncertainty import (
    MIN_UNITS,
    Interval,
    blocks_of,
    jackknife_p_value,
    metric_intervals,
    wilson,
)

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
        positions = np.flatnonzero(inside)
        return objective.evaluate(output[positions], data, rows[positions], split, trained.calibration).metrics

    metric = task.headline_metric(metrics(np.ones(len(rows), dtype=bool)))
    if not metric:
        return []
    parts = [
        part
        for part in _parts([data.row(int(row)) for row in rows])
        if min(part[2].sum(), (~part[2]).sum()) >= MIN_ROWS
    ][:MAX_SLICES]
    is_proportion = objective.is_proportion(metric)
    tests = _Tests(lambda inside: metrics(inside).get(metric, math.nan), blocks_of(data, rows.numpy()), metric)
    measured = []
    for field, value, inside in parts:
        score, rest_score = tests.score(inside), tests.score(~inside)
        if not (math.isfinite(score) and math.isfinite(rest_score)):
            continue
        interval, p = None, None
        if is_proportion and data.raw.has_dependent_rows:
            interval, p = tests.of_blocks(inside, score, rest_score)
        elif is_proportion:
            interval, p = tests.of_rows(inside, score, rest_score)
        p = p if p is None else min(1.0, len(parts) * p)
        measured.append(Slice(field, value, int(inside.sum()), metric, score, rest_score, interval, p))
    sign = 1 if task.higher_is_better(metric) else -1
    return sorted(measured, key=lambda part: sign * (part.score - part.rest))


@dataclass(frozen=True)
class _Tests:
    """Intervals and p-values of a proportion. `score` computes it for a mask of rows (N,), and `blocks` are the places
    of rows in blocks that do not depend on each other."""

    score: Callable[[np.ndarray], float]
    blocks: list[np.ndarray]
    metric: str

    def of_rows(self, inside: np.ndarray, score: float, rest_score: float) -> tuple[Interval | None, float | None]:
        """Return the interval of a slice, and the p-value of a worse proportion, of independent rows."""
        count = int(inside.sum())
        return wilson(score, count), _p_value(score, count, rest_score, len(inside) - count)

    def of_blocks(self, inside: np.ndarray, score: float, rest_score: float) -> tuple[Interval | None, float | None]:
        """Return the same of rows that depend on each other; None where the blocks are too few."""
        blocks = [block[inside[block]] for block in self.blocks if inside[block].any()]

        def of_slice(places: np.ndarray) -> Mapping[str, float]:
            return {self.metric: self.score(_mask(places, len(inside)))}

        intervals = metric_intervals(of_slice, {self.metric: score}, blocks, {})
        if self.metric not in intervals or len(self.blocks) < MIN_UNITS:
            return None, None
        differences = []
        for block in self.blocks:
            other_rows = ~_mask(block, len(inside))
            differences.append(self.score(inside & other_rows) - self.score(~inside & other_rows))
        return intervals[self.metric], jackknife_p_value(score - rest_score, np.array(differences))


def _mask(places: np.ndarray, count: int) -> np.ndarray:
    """Return which of `count` rows are at `places`, (count,)."""
    mask = np.zeros(count, dtype=bool)
    mask[places] = True
    return mask


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
