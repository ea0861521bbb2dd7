"""Two-sample tests and distances of one quantity, between reference rows and current rows.

The tests are those of SciPy. The distances have no p-value, but say how large a change is: a test finds any change,
however small, if there are enough rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netloom.modalities.statistics import divisor

# Without drift, the chance that any of the corrected p-values is below it is at most this
ALPHA = 0.05
# Bins of the distances, at the quantiles of the reference
BINS = 10
# Expected counts below this make the chi-squared distribution a poor approximation (Cochran's rule), so rare categories
# are merged.
MIN_EXPECTED = 5
OTHER_CATEGORIES = "(other)"
# Shares of empty bins, so that PSI stays finite
_SMALLEST = 1e-4


@dataclass(frozen=True)
class Comparison:
    """The result of a test, and distances between both samples.

    Attributes:
        test: The name of the test.
        statistic: Its statistic: the largest difference of the distribution functions (Kolmogorov–Smirnov), or χ².
        p: Its p-value; 1 if a sample is empty or both are constant and equal.
        psi: The population stability index; by convention, below 0.1 is stable, and above 0.25 is a large shift.
        js: The Jensen–Shannon distance in bits, from 0 to 1.
        wasserstein: The Wasserstein distance in standard deviations of the reference; None for categories.
    """

    test: str
    statistic: float
    p: float
    psi: float
    js: float
    wasserstein: float | None


def compare_numbers(reference: np.ndarray, current: np.ndarray) -> Comparison:
    """Compare numbers (R,) and (N,), without missing values, by the Kolmogorov–Smirnov test."""
    from scipy.stats import ks_2samp, wasserstein_distance

    test = "Kolmogorov–Smirnov"
    if not len(reference) or not len(current):
        return Comparison(test, 0.0, 1.0, 0.0, 0.0, 0.0)
    result = ks_2samp(reference, current, method="asymp" if len(reference) + len(current) > 2_000 else "auto")
    shares = _binned(reference, current)
    spread = divisor(float(reference.std()), float(np.abs(reference).max()))
    distance = float(wasserstein_distance(reference / spread, current / spread))
    return Comparison(test, float(result.statistic), float(result.pvalue), psi(*shares), js(*shares), distance)


def compare_categories(reference: Sequence[str] | np.ndarray, current: Sequence[str] | np.ndarray) -> Comparison:
    """Compare categories (R,) and (N,) by the χ² test of homogeneity; rare ones are merged."""
    from scipy.stats import chi2_contingency

    test = "χ²"
    if not len(reference) or not len(current):
        return Comparison(test, 0.0, 1.0, 0.0, 0.0, None)
    names = np.unique([*reference, *current])
    counts = np.array([[np.sum(np.asarray(sample) == name) for name in names] for sample in (reference, current)])
    shares = counts / counts.sum(1, keepdims=True)
    merged = _merge_rare(counts)
    if merged.shape[1] < 2:
        return Comparison(test, 0.0, 1.0, psi(*shares), js(*shares), None)
    result = chi2_contingency(merged, correction=False)
    return Comparison(test, float(result.statistic), float(result.pvalue), psi(*shares), js(*shares), None)


def _merge_rare(counts: np.ndarray) -> np.ndarray:
    """Return counts (2, categories) in which those with a low expected count are one category."""
    smallest = counts.sum(1).min() / counts.sum()
    is_rare = counts.sum(0) * smallest < MIN_EXPECTED
    common = counts[:, ~is_rare]
    rare_counts = counts[:, is_rare].sum(1, keepdims=True)
    if rare_counts.sum() * smallest >= MIN_EXPECTED:
        return np.concatenate([common, rare_counts], axis=1)
    if common.shape[1] and rare_counts.sum():
        # Too few to be a category of their own: they join the smallest of the others.
        common = common.copy()
        common[:, common.sum(0).argmin()] += rare_counts[:, 0]
    return common


def psi(reference: np.ndarray, current: np.ndarray) -> float:
    """Return the population stability index of shares (bins,), Σ (q − p) ln(q / p)."""
    p, q = np.maximum(reference, _SMALLEST), np.maximum(current, _SMALLEST)
    return float(((q - p) * np.log(q / p)).sum())


def js(reference: np.ndarray, current: np.ndarray) -> float:
    """Return the Jensen–Shannon distance of shares (bins,), with the logarithm to base 2."""
    from scipy.spatial.distance import jensenshannon

    return float(np.nan_to_num(jensenshannon(reference, current, base=2)))


def _binned(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares (bins,) of both samples between the quantiles of the reference. A value that is several of the
    quantiles has a bin of its own, apart from smaller values."""
    inner, count = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]), return_counts=True)
    inner = np.unique([*inner, *np.nextafter(inner[count > 1], -np.inf)])
    shares = []
    for sample in (reference, current):
        counts = np.bincount(np.searchsorted(inner, sample, side="left"), minlength=len(inner) + 1)
        shares.append(counts / len(sample))
    return shares[0], shares[1]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's method: if nothing drifted, the chance of any below α is at most α."""
    order = np.argsort(p_values)
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
