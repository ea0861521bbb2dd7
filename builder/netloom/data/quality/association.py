"""Measures of how strongly a single column determines the target, from 0 to 1."""

from __future__ import annotations

from collections import Counter

import numpy as np

MIN_ROWS_PER_CLASS = 10  # on average; below, a high association is likely by chance


def explained_variance(values: np.ndarray, target: np.ndarray, classes: int) -> float:
    """Return the share of variance of a number that the target explains.

    R² for a numeric target; for class indices the squared correlation ratio
    (https://en.wikipedia.org/wiki/Correlation_ratio).

    Args:
        values: (R,)
        target: (R,)
        classes: The number of classes; 0 for a numeric target.
    """
    deviations = values - values.mean()
    total = float(deviations @ deviations)
    if not total or len(values) < MIN_ROWS_PER_CLASS * max(classes, 1):
        return 0.0
    if classes:
        groups = [deviations[target == index] for index in np.unique(target)]
        return sum(len(group) * float(group.mean()) ** 2 for group in groups) / total
    target_deviations = target - target.mean()
    return float(deviations @ target_deviations) ** 2 / (total * float(target_deviations @ target_deviations) or 1.0)


def rank_association(values: np.ndarray, target: np.ndarray, classes: int) -> float:
    """Return how strongly the order of a number determines the target.

    This is the squared Spearman correlation for a numeric target; for classes, it is 1 if each class has the rows of a
    few intervals of the number, else 0.
    """
    if not classes:
        from scipy.stats import rankdata

        return explained_variance(rankdata(values), rankdata(target), 0)
    order = np.lexsort((target, values))
    ranked, labels = values[order], target[order]
    changes = np.flatnonzero(labels[1:] != labels[:-1])
    has_few_intervals = len(changes) < 2 * classes and len(changes) * MIN_ROWS_PER_CLASS < len(values)
    # An interval must not end within rows of one value, which would then have two classes.
    is_separated = bool((ranked[changes] != ranked[changes + 1]).all())
    return 1.0 if len(changes) and has_few_intervals and is_separated else 0.0


def purity(texts: list[str], target: list[int]) -> float:
    """Return the accuracy of predicting the most frequent class of each category, from 0 (the majority class) to 1.

    Returns 0 if there are too few rows per category.
    """
    correct = Counter[str]()
    for (text, _), count in Counter(zip(texts, target, strict=True)).items():
        correct[text] = max(correct[text], count)
    if len(correct) * MIN_ROWS_PER_CLASS > len(texts) or len(set(target)) < 2:
        return 0.0
    # If nearly all rows have one class, any column predicts it equally often.
    baseline = max(Counter(target).values()) / len(target)
    accuracy = correct.total() / len(texts)
    return (accuracy - baseline) / (1 - baseline)
