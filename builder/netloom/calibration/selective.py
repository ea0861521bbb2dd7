"""Selective prediction: a network that answers only where it is confident.

Geifman and El-Yaniv 2017, https://arxiv.org/abs/1705.08500.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from netloom.runs.prediction.applied_calibration import Abstention
from netloom.training.uncertainty import Interval, mean_interval, wilson

POINTS = 200


@dataclass(frozen=True)
class RiskCoverage:
    """The risk of the answered rows at each coverage, most confident rows first; thinned for drawing."""

    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    area: float  # AURC: the mean risk over all coverages
    best_area: float  # of an order by the loss itself, which no confidence can beat


@dataclass(frozen=True)
class Selected:
    """What abstention gives on rows: the shares of answered rows, and their risk, with 95% intervals."""

    rows: int
    answered: int
    coverage: float
    coverage_interval: tuple[float, float] | None
    risk: float | None
    risk_interval: tuple[float, float] | None


def risk_coverage(confidence: np.ndarray, loss: np.ndarray) -> RiskCoverage:
    """Return the curve from confidences (N,) and losses (N,) from 0 to 1, such as 1 for a wrong prediction."""
    risks = _risks(confidence, loss)
    coverage = np.arange(1, len(loss) + 1) / len(loss)
    positions = np.unique(np.linspace(0, len(loss) - 1, min(POINTS, len(loss))).round().astype(int))
    best = np.sort(loss).cumsum() / np.arange(1, len(loss) + 1)
    return RiskCoverage(
        tuple(coverage[positions].tolist()), tuple(risks[positions].tolist()), float(risks.mean()), float(best.mean())
    )


def _risks(confidence: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Return the risk of the k most confident rows for each k; rows of equal confidence have their mean loss, so that
    the order of rows does not matter."""
    values, level_index, count = np.unique(-confidence, return_inverse=True, return_counts=True)
    mean = np.bincount(level_index, loss, len(values)) / count
    smoothed: np.ndarray = np.repeat(mean, count).cumsum() / np.arange(1, len(loss) + 1)
    return smoothed


def choose_threshold(
    confidence: np.ndarray, loss: np.ndarray, target: Literal["risk", "coverage"], value: float
) -> Abstention | None:
    """Return the threshold with the largest coverage whose risk is at most `value`, or the largest threshold whose
    coverage is at least `value`, from confidences (N,) and losses (N,) of validation rows.

    None if no threshold keeps the risk.
    """
    levels, count = np.unique(confidence, return_counts=True)
    # By level, lowest first: the rows at or above it, and their mean loss
    answered = count[::-1].cumsum()[::-1]
    level_index = np.searchsorted(levels, confidence)
    losses = np.bincount(level_index, loss, len(levels))[::-1].cumsum()[::-1] / answered
    # Rounded, as 0.07 * 100 comes out a little above 7.
    least = round(value * len(confidence), 9)
    allowed = np.flatnonzero(losses <= value if target == "risk" else answered >= least)
    if not len(allowed):
        return None
    chosen = allowed[0] if target == "risk" else allowed[-1]
    # All rows are answered at the lowest level; other rows can have a lower confidence, which they may have, too.
    threshold = 0.0 if chosen == 0 else float(levels[chosen])
    return Abstention(threshold, target, value)


def selected(answered: np.ndarray, loss: np.ndarray, *, independent: bool = True) -> Selected:
    """Return coverage and risk of the rows that are answered (N,). Without `independent` rows, there are no
    intervals."""
    count, answered_loss = int(answered.sum()), loss[answered]
    coverage = float(answered.mean())
    risk = float(answered_loss.mean()) if count else None
    return Selected(
        len(loss),
        count,
        coverage,
        wilson(coverage, len(loss)) if independent else None,
        risk,
        _risk_interval(answered_loss) if independent and count else None,
    )


def _risk_interval(loss: np.ndarray) -> Interval | None:
    if np.isin(loss, (0.0, 1.0)).all():
        return wilson(float(loss.mean()), len(loss))
    interval = mean_interval(loss)
    return interval and (max(0.0, interval[0]), min(1.0, interval[1]))
