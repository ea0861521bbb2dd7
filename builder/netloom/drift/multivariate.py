"""Tests of whole rows: changes that no quantity shows alone, such as a new correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Rows of each sample; the tests compare all pairs, or fit a classifier.
MAX_ROWS = 1_000
PERMUTATIONS = 200


@dataclass(frozen=True)
class Separation:
    """How well two samples can be distinguished, with the p-value of equal distributions."""

    test: str
    statistic: float
    p: float


def domain_classifier(reference: np.ndarray, current: np.ndarray, seed: int = 0) -> Separation:
    """Return the ROC-AUC with which a logistic regression separates rows (R, d) and (N, d), on held-out rows.

    0.5 means that it cannot. The p-value is that of the Mann–Whitney test of the held-out scores.
    """
    from scipy.stats import mannwhitneyu
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    first, second = _sampled(reference, seed), _sampled(current, seed)
    rows, label = np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)])
    # The first fold that would lack one of the samples
    folds = min(5, len(first), len(second))
    if folds < 2:
        return Separation("Domain classifier", 0.5, 1.0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1_000, class_weight="balanced"))
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    scores = cross_val_predict(model, rows, label, cv=split, method="decision_function")
    result = mannwhitneyu(scores[label == 1], scores[label == 0], alternative="greater")
    auc = float(result.statistic) / (len(first) * len(second))
    return Separation("Domain classifier", auc, float(result.pvalue))


def mmd(reference: np.ndarray, current: np.ndarray, seed: int = 0) -> Separation:
    """Return the squared maximum mean discrepancy of rows (R, d) and (N, d), with a permutation test.

    The kernel is Gaussian; its width is the median distance. Gretton et al. 2012,
    https://jmlr.org/papers/v13/gretton12a.html
    """
    from scipy.spatial.distance import cdist

    first, second = _sampled(reference, seed), _sampled(current, seed)
    rows, count = np.concatenate([first, second]), len(first)
    if count < 2 or len(second) < 2:
        return Separation("MMD", 0.0, 1.0)
    distances = cdist(rows, rows, "sqeuclidean")
    width = float(np.median(distances[np.triu_indices(len(rows), 1)])) or 1.0
    kernel = np.exp(-distances / width)
    np.fill_diagonal(kernel, 0.0)  # the unbiased estimate leaves out pairs of a row with itself
    random = np.random.default_rng(seed)
    side = np.zeros(len(rows), dtype=bool)
    side[:count] = True
    sides = np.stack([side, *(random.permutation(side) for _ in range(PERMUTATIONS))])
    observed, *permuted = _discrepancies(kernel, sides)
    larger = int(np.sum(np.array(permuted) >= observed))
    return Separation("MMD", float(observed), (1 + larger) / (1 + PERMUTATIONS))


def _discrepancies(kernel: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Return the discrepancy (S,) for each of several choices (S, rows) of equally many rows of the first sample.

    One product of matrices is several times as fast as one product with a vector for each choice.
    """
    first = sides.T.astype(kernel.dtype)  # (rows, S)
    second = 1 - first
    count, other_count = first[:, 0].sum(), second[:, 0].sum()
    to_first = kernel @ first  # (rows, S): the sums over the rows of the first sample
    to_second = kernel.sum(1, keepdims=True) - to_first
    within_first = (to_first * first).sum(0) / (count * (count - 1))
    within_second = (to_second * second).sum(0) / (other_count * (other_count - 1))
    discrepancies: np.ndarray = within_first + within_second - 2 * (to_second * first).sum(0) / (count * other_count)
    return discrepancies


def _sampled(rows: np.ndarray, seed: int) -> np.ndarray:
    if len(rows) <= MAX_ROWS:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), MAX_ROWS, replace=False))]
