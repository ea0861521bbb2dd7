"""Measures of probabilities, with confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.calibration.brier import BrierParts, brier_parts, brier_score
from netloom.calibration.reliability import BINS, Reliability, equal_mass, equal_width, stated
from netloom.calibration.units import Units
from netloom.training.uncertainty import MIN_UNITS, Interval, jackknife_interval, metric_intervals

# As in scikit-learn, so that a probability of 0 for what came true has a finite loss
LEAST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Measured:
    """The measures of probabilities by name, their 95% intervals, and both reliability diagrams."""

    measures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    equal_width: Reliability
    equal_mass: Reliability
    brier: BrierParts


def log_loss(shares: np.ndarray, target: np.ndarray) -> float:
    """Return the mean negative log-likelihood in nats of classes (M,), or the mean over labels (M, C)."""
    return float(_log_losses(shares, target).mean())


def _log_losses(shares: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the negative log-likelihood of each unit, (M,)."""
    shares = shares.clip(LEAST, 1 - LEAST)
    losses: np.ndarray
    if target.ndim == 2:
        losses = -np.where(target == 1, np.log(shares), np.log1p(-shares)).mean(1)
    else:
        losses = -np.log(shares[np.arange(len(shares)), target])
    return losses


def log_loss_change(units: Units, blocks: list[np.ndarray], scaling: Mapping[str, Any]) -> Interval | None:
    """Return the 95% interval of the change of the log loss by a scaling; None if there are too few blocks of rows.

    It is paired, so that it is much narrower than the difference of the intervals before and after.
    """
    if len(blocks) < MIN_UNITS:
        return None
    changes = _log_losses(units.shares(dict(scaling)), units.target) - _log_losses(units.shares(), units.target)
    rows = max(int(units.row.max(initial=-1)), *(int(block.max()) for block in blocks)) + 1
    by_row, count = np.bincount(units.row, changes, rows), np.bincount(units.row, minlength=rows)
    sums, counts = (np.array([values[block].sum() for block in blocks]) for values in (by_row, count))
    left = counts.sum() - counts
    if not left.all():  # all units are in one block
        return None
    return jackknife_interval(float(changes.mean()), (sums.sum() - sums) / left)


def measures_of(shares: np.ndarray, target: np.ndarray, bins: int = BINS) -> dict[str, float]:
    """Return all measures by name, from probabilities (M, C), and classes (M,) or labels (M, C)."""
    confidence, right = stated(shares, target)
    width = equal_width(confidence, right, bins)
    accuracy = {} if target.ndim == 2 else {"accuracy": float(right.mean())}
    return {
        **accuracy,
        "log_loss": log_loss(shares, target),
        "brier": brier_score(shares, target),
        "ece": width.expected_error,
        "adaptive_ece": equal_mass(confidence, right, bins).expected_error,
        "mce": width.maximum_error,
    }


def measured(
    units: Units,
    blocks: list[np.ndarray],
    scaling: Mapping[str, Any] | None = None,
    bins: int = BINS,
    *,
    independent: bool,
) -> Measured:
    """Return the measures of units. `blocks` are rows that do not depend on each other, for the intervals;
    `independent` says whether single rows do not, either."""
    shares = units.shares(dict(scaling) if scaling else None)
    values = measures_of(shares, units.target, bins)
    confidence, right = stated(shares, units.target)
    return Measured(
        values,
        _intervals(units, shares, values, blocks, bins, independent=independent),
        equal_width(confidence, right, bins),
        equal_mass(confidence, right, bins),
        brier_parts(shares, units.target, bins),
    )


def _intervals(
    units: Units,
    shares: np.ndarray,
    values: dict[str, float],
    blocks: list[np.ndarray],
    bins: int,
    *,
    independent: bool,
) -> dict[str, Interval]:
    inside = np.zeros(int(units.row.max()) + 1, bool)

    def measure(rows: np.ndarray) -> dict[str, float]:
        inside[:] = False
        inside[rows[rows < len(inside)]] = True
        selection = inside[units.row]
        if not selection.any():  # such as of objects, which can all be in the images of one block
            return {}
        return measures_of(shares[selection], units.target[selection], bins)

    # The words or pixels of one row depend on each other
    are_rows = independent and len(np.unique(units.row)) == len(units)
    proportions = {"accuracy": len(units)} if are_rows and "accuracy" in values else {}
    return metric_intervals(measure, values, blocks, proportions)
