"""Tests of whole rows: changes that no quantity shows alone, such as a new correlation.

Their p-values are those of permutations: the rows of both samples are exchanged at random, and the test is repeated.
The scores of a cross-validated classifier depend on each other, so that a test of independent scores, such as that of
Mann and Whitney, would give 15% instead of 5% false alarms for 64 columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from netloom.drift.two_sample import ALPHA

# Rows of each sample; the tests compare all pairs, or fit a classifier.
MAX_ROWS = 1_000
# Permutations of the first round, and the number of larger statistics among them with which no others follow: the
# p-value is above 0.05 then. (Besag and Clifford 1991, https://doi.org/10.1093/biomet/78.2.301)
PERMUTATIONS, LARGER = 200, 10
MAX_PERMUTATIONS = 4_000
# More columns than that are replaced by their principal components.
MAX_COLUMNS = 256
# The penalty of the squared weights of the classifier, and the folds of its cross-validation
PENALTY, FOLDS = 40.0, 5


@dataclass(frozen=True)
class Separation:
    """How well two samples can be distinguished, with the p-value of equal distributions. In reports, it is corrected
    for the number of tests.

    Attributes:
        test: The name of the test.
        measure: The name of its statistic.
        reference: The number of compared reference rows, and `rows` that of current rows; at most `MAX_ROWS`.
        subject: What was compared, such as embeddings.
    """

    test: str
    measure: str
    statistic: float
    p: float
    reference: int
    rows: int
    subject: str = ""

    @property
    def is_drift(self) -> bool:
        return self.p < ALPHA


def domain_classifier(
    reference: np.ndarray, current: np.ndarray, seed: int = 0, permutations: int = PERMUTATIONS
) -> Separation:
    """Return the ROC-AUC with which a linear classifier separates rows (R, d) and (N, d), on held-out rows.

    0.5 means that it cannot. The classifier is a ridge regression of the sample that a row belongs to, whose direction
    is that of a regularized linear discriminant, and which is solved for all permutations at once. The smallest
    p-value is 1 / (1 + `permutations`).
    """
    first, second = _sampled(reference, seed), _sampled(current, seed)
    rows = _standardized(np.concatenate([first, second]), seed)
    random = np.random.default_rng(seed)
    # Folds do not depend on the samples, so that permutations have the same ones.
    fold = random.permutation(len(rows)) % FOLDS
    folds = []
    for number in range(min(FOLDS, len(rows))):
        training = rows[fold != number]
        mean = training.mean(0)
        centered = training - mean
        gram = centered.T @ centered + PENALTY * np.eye(rows.shape[1])
        # (d, training rows), which maps the samples of rows to weights
        folds.append((fold == number, np.linalg.solve(gram, centered.T), rows[fold == number] - mean))

    def areas(sides: np.ndarray) -> np.ndarray:
        """Return the ROC-AUC (S,) for each of several choices (S, rows) of the rows of the second sample."""
        from scipy.stats import rankdata

        labels = sides.T.astype(float)  # (rows, S)
        scores = np.empty_like(labels)
        for is_held_out, solution, held_out in folds:
            trained = labels[~is_held_out]
            scores[is_held_out] = held_out @ (solution @ (trained - trained.mean(0)))
        ranks = (rankdata(scores, axis=0) * labels).sum(0)
        result: np.ndarray = (ranks - len(second) * (len(second) + 1) / 2) / (len(first) * len(second))
        return result

    area, p = _permutation_test(areas, len(first), len(second), random, permutations)
    return Separation("Domain classifier", "ROC-AUC", area, p, len(first), len(second))


def mmd(reference: np.ndarray, current: np.ndarray, seed: int = 0, permutations: int = PERMUTATIONS) -> Separation:
    """Return the squared maximum mean discrepancy of rows (R, d) and (N, d), with a permutation test.

    The kernel is exp(−‖x − y‖² / w), where w is the median of ‖x − y‖². Gretton et al. 2012,
    https://jmlr.org/papers/v13/gretton12a.html. The smallest p-value is 1 / (1 + `permutations`).
    """
    from scipy.spatial.distance import pdist, squareform

    first, second = _sampled(reference, seed), _sampled(current, seed)
    rows = np.concatenate([first, second])
    if len(first) < 2 or len(second) < 2:
        return Separation("MMD", "MMD²", 0.0, 1.0, len(first), len(second))
    distances = pdist(rows, "sqeuclidean")  # of each pair of rows once
    width = float(np.median(distances)) or 1.0
    kernel = squareform(np.exp(-distances / width))  # 0 for a row with itself, which the unbiased estimate leaves out

    def discrepancies(sides: np.ndarray) -> np.ndarray:
        return _discrepancies(kernel, sides)

    random = np.random.default_rng(seed)
    discrepancy, p = _permutation_test(discrepancies, len(first), len(second), random, permutations)
    return Separation("MMD", "MMD²", discrepancy, p, len(first), len(second))


def _permutation_test(
    statistics: Callable[[np.ndarray], np.ndarray], first: int, second: int, random: np.random.Generator, most: int
) -> tuple[float, float]:
    """Return the statistic of two samples and the p-value of at most `most` permutations of their rows.

    Args:
        statistics: Returns the statistic (S,) for each of several choices (S, rows) of the rows of the second sample.
            One product of matrices is several times as fast as one product with a vector for each choice.
    """
    side = np.arange(first + second) >= first
    (observed,) = statistics(side[None])
    done = larger = 0
    while done < most and not (done == PERMUTATIONS and larger >= LARGER):
        sides = np.stack([random.permutation(side) for _ in range(min(PERMUTATIONS, most - done))])
        # Equal statistics round differently in matrices of other shapes.
        larger += int(np.sum(statistics(sides) >= observed - 1e-12))
        done += len(sides)
    return float(observed), (1 + larger) / (1 + done)


def _discrepancies(kernel: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Return the discrepancy (S,) for each of several choices (S, rows) of equally many rows of the second sample."""
    second = sides.T.astype(kernel.dtype)  # (rows, S)
    first = 1 - second
    count, other_count = first[:, 0].sum(), second[:, 0].sum()
    to_first = kernel @ first  # (rows, S): the sums over the rows of the first sample
    to_second = kernel.sum(1, keepdims=True) - to_first
    within_first = (to_first * first).sum(0) / (count * (count - 1))
    within_second = (to_second * second).sum(0) / (other_count * (other_count - 1))
    discrepancies: np.ndarray = within_first + within_second - 2 * (to_second * first).sum(0) / (count * other_count)
    return discrepancies


def _standardized(rows: np.ndarray, seed: int) -> np.ndarray:
    """Return rows (N, d) with columns of the same scale; of many columns, the principal components.

    Neither depends on the sample that a row belongs to, so that the p-values remain right.
    """
    from sklearn.decomposition import PCA

    deviations = rows.std(0)
    scaled: np.ndarray = (rows - rows.mean(0)) / np.where(deviations > 0, deviations, 1.0)
    if rows.shape[1] <= MAX_COLUMNS:
        return scaled
    components = PCA(min(MAX_COLUMNS, len(rows)), svd_solver="randomized", random_state=seed)
    reduced: np.ndarray = components.fit_transform(scaled)
    return reduced


def _sampled(rows: np.ndarray, seed: int) -> np.ndarray:
    if len(rows) <= MAX_ROWS:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), MAX_ROWS, replace=False))]
