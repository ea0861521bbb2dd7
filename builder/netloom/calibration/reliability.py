"""Reliability diagrams: how often predictions of a stated confidence are right.

Niculescu-Mizil and Caruana 2005, https://doi.org/10.1145/1102351.1102430.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """The bins of a diagram that have units, each with its mean `confidence`, the share of units that are `right`, the
    number of units (`count`), and its ends."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    confidence: tuple[float, ...]
    right: tuple[float, ...]
    count: tuple[int, ...]

    @property
    def gaps(self) -> np.ndarray:
        """The distance of confidence and accuracy in each bin."""
        gaps: np.ndarray = np.abs(np.array(self.confidence) - np.array(self.right))
        return gaps

    @property
    def expected_error(self) -> float:
        """The expected calibration error (ECE): the mean gap, weighted by the units of each bin."""
        return float(np.average(self.gaps, weights=self.count)) if self.count else float("nan")

    @property
    def maximum_error(self) -> float:
        """The maximum calibration error (MCE): the largest gap."""
        return float(self.gaps.max(initial=0.0))


def equal_width(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Reliability:
    """Return the diagram with bins of equal width, from confidences (M,) from 0 to 1 and what is right (M,)."""
    return _binned(confidence, right, np.linspace(0, 1, bins + 1))


def equal_mass(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Reliability:
    """Return the diagram with bins of equally many units; equal confidences share a bin.

    Nguyen and O'Connor 2015, https://aclanthology.org/D15-1182.
    """
    return _binned(confidence, right, np.quantile(confidence, np.linspace(0, 1, bins + 1)))


def _binned(confidence: np.ndarray, right: np.ndarray, edges: np.ndarray) -> Reliability:
    bin_index = np.searchsorted(edges[1:-1], confidence)
    count = np.bincount(bin_index, minlength=len(edges) - 1)
    is_filled = count > 0
    means = [
        np.bincount(bin_index, values, len(edges) - 1)[is_filled] / count[is_filled] for values in (confidence, right)
    ]
    return Reliability(
        tuple(edges[:-1][is_filled].tolist()),
        tuple(edges[1:][is_filled].tolist()),
        tuple(means[0].tolist()),
        tuple(means[1].tolist()),
        tuple(count[is_filled].tolist()),
    )


def stated(shares: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return stated probabilities and whether they came true, (n,), from probabilities (M, C).

    For classes (target (M,)), those of the most likely class; for labels (target (M, C)), each probability of a label.
    """
    if target.ndim == 2:
        return shares.reshape(-1), target.reshape(-1).astype(float)
    predicted = shares.argmax(1)
    return shares[np.arange(len(shares)), predicted], (predicted == target).astype(float)
