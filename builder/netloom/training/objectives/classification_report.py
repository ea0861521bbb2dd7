"""The confusion matrix and the scores of each class.

Implemented here, as the import of sklearn.metrics takes 0.74 s in each run, and a call takes 5 to 55 times
as long: 0.92 ms instead of 0.02 ms for the ROC-AUC of 360 rows, 21.6 ms instead of 4.5 ms for 100,000. Confidence
intervals and the evaluations after each epoch repeat the calls. The tests compare the results with scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netloom.training.objectives.evaluation import ScoreRow

# Precision, recall, F1 and count of rows, each (classes).
ClassScores = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def confusion(truth: np.ndarray, guess: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix (true class, predicted class) from class indices (N,)."""
    matrix: np.ndarray = np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes)
    return matrix


def class_scores(counts: np.ndarray) -> ClassScores:
    """Return the scores of each class from its `confusion`; 0 for 0/0."""
    right, predicted, actual = counts.diagonal(), counts.sum(0), counts.sum(1)
    return _share(right, predicted), _share(right, actual), _share(2 * right, predicted + actual), actual


def _share(part: np.ndarray, total: np.ndarray) -> np.ndarray:
    share: np.ndarray = np.divide(part, total, out=np.zeros(len(part)), where=total > 0)
    return share


def roc_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Return the probability that a `positive` row (N,) has a higher score (N,) than a negative one; ties count
    half. Needs rows of both kinds. NaN if a score is NaN."""
    if np.isnan(scores).any():
        return float("nan")
    # The Mann–Whitney U statistic from ranks counted from 1; ties share their mean rank.
    # https://doi.org/10.1148/radiology.143.1.7063747
    _, score_indices, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (sizes.cumsum() - (sizes - 1) / 2)[score_indices]
    yes = positive.astype(bool)
    count = int(yes.sum())
    return float((ranks[yes].sum() - count * (count + 1) / 2) / (count * (len(yes) - count)))


def average_precision(positive: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the precision-recall curve as the mean precision over the `positive` rows (N,), each at the
    threshold that its score (N,) reaches. Needs a positive row. NaN if a score is NaN."""
    if np.isnan(scores).any():
        return float("nan")
    order = scores.argsort()[::-1]
    hits = positive[order].cumsum()
    # No threshold separates equal scores, so only the last row of each score counts
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    recall_steps = np.diff(hits[ends], prepend=0) / hits[-1]
    return float((recall_steps * hits[ends] / (ends + 1)).sum())


def macro_f1(truth: np.ndarray, guess: np.ndarray) -> float:
    """Return the mean F1 of the classes that occur or are predicted, from class indices (N,); NaN without rows."""
    if not len(truth):
        return float("nan")
    classes = int(max(truth.max(), guess.max())) + 1
    right = np.bincount(truth[truth == guess], minlength=classes)
    either = np.bincount(truth, minlength=classes) + np.bincount(guess, minlength=classes)
    return float((2 * right[either > 0] / either[either > 0]).mean())


def by_class(classes: Sequence[str], scores: Any) -> list[ScoreRow]:
    """Return a row per class from its `class_scores`, or from the result of scikit-learn's
    `precision_recall_fscore_support`."""
    return [
        {"class": name, "precision": float(precision), "recall": float(recall), "f1": float(f1), "examples": int(count)}
        for name, precision, recall, f1, count in zip(classes, *scores, strict=True)
    ]
