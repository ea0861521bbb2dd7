"""Split conformal prediction: sets of classes and intervals of numbers with a coverage that does not depend on the
network.

The coverage holds on average over rows that are exchangeable with the calibration rows, such as rows of a random split.
Vovk, Gammerman and Shafer 2005; Angelopoulos and Bates 2023, https://arxiv.org/abs/2107.07511.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from netloom.core.errors import UsageError
from netloom.data.preparation.calibrated import set_members
from netloom.runs.prediction.applied_calibration import ConformalInterval, ConformalSet
from netloom.training.uncertainty import Interval, wilson


@dataclass(frozen=True)
class SetCoverage:
    """The share of rows whose set contains the true class, the sizes of the sets, and the coverage of each class."""

    rows: int
    coverage: float
    interval: tuple[float, float] | None
    mean_size: float
    sizes: tuple[int, ...]  # the number of rows with a set of 1, 2, … classes
    by_class: dict[str, float]


@dataclass(frozen=True)
class IntervalCoverage:
    """The share of true numbers within their interval, and its mean width in the units of the data, of each number.

    `names` are those of the numbers, if there are several.
    """

    rows: int
    coverage: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...] | None
    width: tuple[float, ...]
    names: tuple[str, ...] = ()


def conformal_rank(count: int, alpha: float, sides: int = 1) -> int:
    """Return which of `count` scores, in increasing order from 1, is the conformal quantile of level 1 − `alpha` /
    `sides`.

    Raises:
        UsageError: there are too few scores for this level.
    """
    if not 0 < alpha < 1:
        raise UsageError(f"The error rate of conformal prediction must be between 0 and 1, but is {alpha:g}.")
    # Rounded, as 0.9 * 10 may come out a little above 9.
    rank = math.ceil(round((count + 1) * (1 - alpha / sides), 9))
    if rank > count:
        needed = math.ceil(round(sides / alpha, 9)) - 1
        raise UsageError(
            f"Conformal prediction with an error rate of {alpha:g} needs at least {needed} calibration rows, but there "
            f"are {count}; choose a larger error rate."
        )
    return max(1, rank)


def fit_set(shares: np.ndarray, target: np.ndarray, kind: Literal["lac", "aps"], alpha: float) -> ConformalSet:
    """Return conformal sets from probabilities (N, C) and classes (N,) of calibration rows.

    Raises:
        UsageError: there are too few rows for this error rate.
    """
    rank = conformal_rank(len(target), alpha)
    true = shares[np.arange(len(target)), target]
    if kind == "lac":  # the score is 1 − p, so the k-th smallest score is the k-th largest probability
        return ConformalSet(kind, alpha, float(np.sort(true)[::-1][rank - 1]))
    import torch

    # With the operations of `set_members`, so that the bound is met to the last bit
    values = torch.from_numpy(shares)
    order = values.argsort(dim=-1, descending=True, stable=True)
    sums = values.gather(-1, order).cumsum(-1)
    scores = sums[order == torch.from_numpy(target)[:, None]].numpy()
    return ConformalSet(kind, alpha, float(np.sort(scores)[rank - 1]))


def members(conformal: ConformalSet, shares: np.ndarray) -> np.ndarray:
    """Return which classes are in the set of each row, (N, C)."""
    import torch

    inside: np.ndarray = set_members(conformal.kind, conformal.threshold, torch.from_numpy(shares)).numpy()
    return inside


def set_coverage(
    conformal: ConformalSet, shares: np.ndarray, target: np.ndarray, classes: tuple[str, ...], *, independent: bool
) -> SetCoverage:
    """Return the measured coverage on rows; without `independent` rows, it has no interval."""
    inside = members(conformal, shares)
    covered, sizes = inside[np.arange(len(target)), target], inside.sum(1)
    coverage = float(covered.mean())
    return SetCoverage(
        len(target),
        coverage,
        wilson(coverage, len(target)) if independent else None,
        float(sizes.mean()),
        tuple(np.bincount(sizes, minlength=2)[1:].tolist()),
        {
            name: float(covered[target == class_index].mean())
            for class_index, name in enumerate(classes)
            if (target == class_index).any()
        },
    )


def fit_interval(
    predicted: np.ndarray, true: np.ndarray, kind: Literal["absolute", "signed"], alpha: float
) -> ConformalInterval:
    """Return intervals from predicted and true numbers (N, k) of calibration rows; each number has its own.

    "absolute" is symmetric around the prediction. "signed" splits the error rate evenly between both sides, which suits
    predictions that are not in the middle, such as quantiles: conformalized quantile regression with one quantile
    (https://arxiv.org/abs/1905.03222).

    Raises:
        UsageError: there are too few rows for this error rate.
    """
    error = true - predicted
    if kind == "absolute":
        reach = np.sort(np.abs(error), axis=0)[conformal_rank(len(error), alpha) - 1]
        return ConformalInterval(kind, alpha, tuple(reach.tolist()), tuple(reach.tolist()))
    rank = conformal_rank(len(error), alpha, sides=2)
    below, above = (np.sort(values, axis=0)[rank - 1] for values in (-error, error))
    return ConformalInterval(kind, alpha, tuple(below.tolist()), tuple(above.tolist()))


def interval_coverage(
    interval: ConformalInterval, predicted: np.ndarray, true: np.ndarray, *, independent: bool
) -> IntervalCoverage:
    """Return the measured coverage on rows for numbers (N, k); without `independent` rows, without intervals."""
    below, above = np.array(interval.below), np.array(interval.above)
    covered = ((true >= predicted - below) & (true <= predicted + above)).mean(0)
    reaches: tuple[Interval, ...] | None = None
    if independent:
        reaches = tuple(wilson(float(share), len(true)) for share in covered)
    return IntervalCoverage(len(true), tuple(covered.tolist()), reaches, tuple((below + above).tolist()))
