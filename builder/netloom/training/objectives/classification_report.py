"""Which classes were taken for which, and the scores of each that follow from it.

By their formulas: scikit-learn takes a second to import, at the end of each run, and then 5 to 50 times as long, twenty
times over where intervals are taken. The tests hold them against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Precision, recall, F1 and count of rows, each (classes).
ClassScores = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def confusion(truth: np.ndarray, guess: np.ndarray, classes: int) -> np.ndarray:
    """How many rows (classes, classes) of each class, down, were taken for which, across; from class numbers (N,)."""
    found: np.ndarray = np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes)
    return found


def class_scores(counts: np.ndarray) -> ClassScores:
    """The scores of each class, of its `confusion`; 0 where one is 0 of 0."""
    right, told, there = counts.diagonal(), counts.sum(0), counts.sum(1)
    return _share(right, told), _share(right, there), _share(2 * right, told + there), there


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return found


def roc_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """How often a row that is `positive` (N,) has a higher score (N,) than one that is not; equal ones count half.
    There have to be rows of both kinds. Not a number where a score is none."""
    if np.isnan(scores).any():
        return float("nan")
    _, place, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (sizes.cumsum() - (sizes - 1) / 2)[place]
    yes = positive.astype(bool)
    count = int(yes.sum())
    return float((ranks[yes].sum() - count * (count + 1) / 2) / (count * (len(yes) - count)))


def by_class(classes: Sequence[str], scores: Any) -> list[dict[str, Any]]:
    """A row for each class, of its `class_scores`, or what scikit-learn's `precision_recall_fscore_support` gives."""
    return [
        {"class": name, "precision": float(exact), "recall": float(found), "f1": float(f1), "examples": int(count)}
        for name, exact, found, f1, count in zip(classes, *scores, strict=True)
    ]
