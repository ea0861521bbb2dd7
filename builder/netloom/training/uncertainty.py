"""95% confidence intervals of metrics, given the choice of test rows.

Proportions use Wilson's interval (https://doi.org/10.1080/01621459.1927.10502953), which also holds if all rows or none
are correct. All other metrics use a grouped jackknife (Efron and Tibshirani, An introduction to the bootstrap, chapter
11): the metric is recomputed without each of about twenty blocks of rows. Blocks are random; if rows depend on each
other, blocks are whole groups or time ranges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypedDict

from netloom.tasks import metric

if TYPE_CHECKING:
    import numpy as np

    from netloom.data import Prepared

Interval = tuple[float, float]
BLOCKS = 20
# With fewer rows (or groups), an interval is too wide to be useful.
MIN_UNITS = 10
# The relative error by which equal values can differ
_ROUNDING = 1e-12

CONFIDENCE = 0.95


def wilson(share: float, count: int) -> Interval:
    """Return the interval of a proportion of `count` independent rows."""
    # SciPy offers it in a binomial test, but `scipy.stats` takes half a second to import at the end of each run.
    from statistics import NormalDist

    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def share_interval(successes: int, count: int) -> tuple[float, float]:
    """Return the 95% confidence interval of a share."""
    return wilson(successes / count, count) if count else (0.0, 1.0)


class Difference(TypedDict):
    """A difference as plain JSON, with its 95% interval, None if there are too few values; it is significant if the
    interval does not contain 0."""

    difference: float | None
    interval: list[float] | None
    is_significant: bool


def difference_of_shares(first: tuple[int, int], second: tuple[int, int]) -> Difference:
    """Return second − first for two shares (successes, count) with its 95% interval, by Newcombe's hybrid score.

    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8%3C873::AID-SIM779%3E3.0.CO;2-I
    """
    (ones, total), (other_ones, other_total) = first, second
    if not total or not other_total:
        return {"difference": None, "interval": [-1.0, 1.0], "is_significant": False}
    share, other_share = ones / total, other_ones / other_total
    low, high = share_interval(ones, total)
    other_low, other_high = share_interval(other_ones, other_total)
    difference = other_share - share
    lower = difference - math.hypot(other_share - other_low, high - share)
    upper = difference + math.hypot(other_high - other_share, share - low)
    return {"difference": difference, "interval": [lower, upper], "is_significant": lower > 0 or upper < 0}


def mean_interval(values: np.ndarray, bounds: Interval = (-math.inf, math.inf)) -> Interval | None:
    """Return the interval of the mean of independent values (N,) within `bounds`, by Student's t; None if there are
    fewer than two, or if all of them are equal, which does not make their mean certain."""
    if len(values) < 2 or (values == values[0]).all():
        return None
    reach = student_t(len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return max(bounds[0], float(values.mean()) - reach), min(bounds[1], float(values.mean()) + reach)


def mean_interval_by_blocks(values: np.ndarray, blocks: list[np.ndarray]) -> Interval | None:
    """Return the interval of the mean of values (N,) that depend on each other within blocks of rows, by a jackknife;
    None for too few blocks, or if all values are equal."""
    import numpy as np

    if len(blocks) < MIN_UNITS:
        return None
    sums, counts = (np.array([part(values[block]) for block in blocks]) for part in (np.sum, len))
    return jackknife_interval(float(values.mean()), (values.sum() - sums) / (len(values) - counts))


def metric_intervals(
    measure: Callable[[np.ndarray], Mapping[str, float]],
    metrics: Mapping[str, float],
    blocks: list[np.ndarray],
    proportions: Mapping[str, int],
) -> dict[str, Interval]:
    """Return intervals of metrics by name, so that a metric has the same interval wherever it is shown.

    Args:
        measure: Computes the metrics for rows given by index, (n,).
        blocks: Independent blocks of rows; with too few of them, only proportions have an interval.
        proportions: The number of rows of the metrics that are shares of independent rows.
    """
    intervals = jackknife(measure, metrics, blocks) if len(blocks) >= MIN_UNITS else {}
    return intervals | {name: wilson(metrics[name], count) for name, count in proportions.items()}


def jackknife(
    measure: Callable[[np.ndarray], Mapping[str, float]], metrics: Mapping[str, float], blocks: list[np.ndarray]
) -> dict[str, Interval]:
    """Return intervals of metrics by name. `measure` computes the metrics for rows given by index, (n,)."""
    import numpy as np

    without = [measure(np.concatenate(blocks[:index] + blocks[index + 1 :])) for index in range(len(blocks))]
    intervals = {}
    for name, value in metrics.items():
        values = np.array([item.get(name, math.nan) for item in without])
        if interval := jackknife_interval(value, values):
            low, high = metric(name).bounds
            intervals[name] = max(low, interval[0]), min(high, interval[1])
    return intervals


def jackknife_interval(value: float, without: np.ndarray) -> Interval | None:
    """Return the interval of a value, from its values (B,) without each of B blocks of rows. None if one is not finite,
    or if the value does not depend on the rows."""
    reach = jackknife_reach(without)
    return (value - reach, value + reach) if _is_uncertain(value, reach) else None


def jackknife_reach(without: np.ndarray) -> float:
    """Return how far the interval of a value reaches to each side, from its values (B,) without each of B blocks."""
    return student_t(len(without) - 1) * _jackknife_error(without)


def jackknife_p_value(value: float, without: np.ndarray) -> float | None:
    """Return the one-sided p-value that a value is below 0, from its values (B,) without each of B blocks of rows; None
    where `jackknife_interval` is None."""
    error = _jackknife_error(without)
    if not _is_uncertain(value, error):
        return None
    from scipy.special import stdtr

    return float(stdtr(len(without) - 1, value / error))


def _is_uncertain(value: float, error: float) -> bool:
    """Return whether a value and its error are finite, and the error is more than that of rounding."""
    return math.isfinite(error) and math.isfinite(value) and error > _ROUNDING * abs(value)


def _jackknife_error(without: np.ndarray) -> float:
    """Return the standard error of a value, from its values (B,) without each of B blocks of rows."""
    # Samples that differ in one block vary little, hence (n − 1) / n, and not 1 / (n (n − 1)) as for the mean of n
    # independent values.
    count = len(without)
    return math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))


def blocks_of(data: Prepared, rows: np.ndarray) -> list[np.ndarray]:
    """Return the indices of `rows` (N,) in blocks that are independent of each other, as far as the data shows."""
    import numpy as np

    if data.raw.groups is not None:
        _, unit = np.unique(data.raw.groups[rows], return_inverse=True)
        # A fixed seed: evaluating the same rows again gives the same interval.
        order = np.random.default_rng(0).permutation(unit.max() + 1)
        count = min(BLOCKS, len(order))
        return [np.flatnonzero(np.isin(unit, part)) for part in np.array_split(order, count)]
    if data.raw.contiguous or data.raw.times is not None:
        # Neighbors in time resemble each other, so a block is a range of time.
        moments = rows if data.raw.times is None else data.raw.times[rows]
        order = np.argsort(moments, kind="stable")
    else:
        order = np.random.default_rng(0).permutation(len(rows))
    return np.array_split(order, min(BLOCKS, len(rows)))


def student_t(freedom: float) -> float:
    """Return the two-sided critical value of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))
