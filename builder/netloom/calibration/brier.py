"""The Brier score and its decomposition.

Brier 1950, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2; the decomposition is Murphy's of 1973,
https://doi.org/10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2, with the terms of variation within bins of Stephenson
et al. 2008, https://doi.org/10.1175/2007WAF2006116.1, so that it adds up exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netloom.calibration.reliability import BINS


@dataclass(frozen=True)
class BrierParts:
    """The score is `reliability` − `resolution` + `uncertainty` + `within_bins`.

    A lower reliability term means better calibrated probabilities, and a higher resolution means that they differ more
    between what comes true and what does not. The uncertainty is that of the data alone.
    """

    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float

    @property
    def score(self) -> float:
        return self.reliability - self.resolution + self.uncertainty + self.within_bins


def one_hot(shares: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the true outcomes, (M, C), from class numbers (M,) or labels (M, C)."""
    return target.astype(float) if target.ndim == 2 else (np.arange(shares.shape[1]) == target[:, None]).astype(float)


def brier_score(shares: np.ndarray, target: np.ndarray) -> float:
    """Return the mean squared error of probabilities (M, C), as in scikit-learn: summed over three or more classes, and
    the mean over labels and over two classes, so that two classes have the same score with one logit and with two."""
    squares = (shares - one_hot(shares, target)) ** 2
    return float(squares.sum(1).mean()) / _divisor(shares, target)


def _divisor(shares: np.ndarray, target: np.ndarray) -> int:
    count = shares.shape[1]
    return count if target.ndim == 2 or count == 2 else 1


def brier_parts(shares: np.ndarray, target: np.ndarray, bins: int = BINS) -> BrierParts:
    """Return the decomposition of `brier_score` with bins of equal width for each class."""
    truth = one_hot(shares, target)
    each = [_binary(shares[:, class_index], truth[:, class_index], bins) for class_index in range(shares.shape[1])]
    total = np.sum(each, axis=0) / _divisor(shares, target)
    return BrierParts(*map(float, total))


def _binary(share: np.ndarray, truth: np.ndarray, bins: int) -> tuple[float, float, float, float]:
    bin_index = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], share)
    count = np.bincount(bin_index, minlength=bins)
    safe = np.maximum(count, 1)
    confidence, frequency = (np.bincount(bin_index, values, bins) / safe for values in (share, truth))
    base = truth.mean()
    weight = count / len(share)
    deviation = share - confidence[bin_index]
    within = np.mean(deviation**2) - 2 * np.mean(deviation * (truth - frequency[bin_index]))
    reliability = float((weight * (confidence - frequency) ** 2).sum())
    resolution = float((weight * (frequency - base) ** 2).sum())
    return reliability, resolution, float(base * (1 - base)), float(within)
