"""Decision thresholds, which are chosen on validation rows, and curves over all thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netloom.tasks.chosen_thresholds import HALF
from netloom.training.objectives.classification_report import average_precision, roc_auc
from netloom.training.objectives.evaluation import RateCurves

if TYPE_CHECKING:
    import numpy as np
    import torch


POINTS = 200  # the limit of points per curve


def best_threshold(scores: torch.Tensor, positive: torch.Tensor) -> float:
    """Return the threshold on scores (N,) with the best F1 for `positive` (N,); 0.5 without positive or without
    negative rows.
    """
    return maximize_f1(scores, positive) if bool(positive.any()) and not bool(positive.all()) else HALF


def maximize_f1(scores: torch.Tensor, positive: torch.Tensor, total: int | None = None) -> float:
    """Return the threshold on scores (N,) with the best F1 for `positive` (N,), which is true at least once. `total` is
    the number of all positives, if some have no score.

    It is midway between two scores, the lower one if no number of their type is between them, or below all of them.
    """
    import torch

    # F1 of all thresholds at once: element k − 1 is for the k rows with the highest scores predicted positive.
    order = scores.argsort(descending=True)
    ordered, hits = scores[order].double(), positive[order].double().cumsum(0)
    called = torch.arange(1, len(ordered) + 1, dtype=torch.float64)
    f1 = 2 * hits / (called + (positive.sum() if total is None else total))
    f1[:-1][ordered[:-1] == ordered[1:]] = -1.0  # no threshold separates equal scores
    best = int(f1.argmax())
    if best + 1 == len(ordered):
        # Below the lowest also where it is negative or 0; half of the lowest, because errors are not negative
        lowest = float(ordered[-1])
        return lowest - max(abs(lowest) / 2, torch.finfo(scores.dtype).tiny)
    upper, lower = float(ordered[best]), float(ordered[best + 1])
    middle = (upper + lower) / 2
    # Between neighboring float32 numbers, the middle is rounded to one of them
    return middle if float(scores.new_tensor(middle)) < upper else lower


def curves(positive: Any, scores: Any) -> RateCurves:
    """Return the ROC and precision-recall curves, subsampled for drawing; empty without positive or negative rows."""
    import numpy as np
    from sklearn.metrics import precision_recall_curve, roc_curve

    if len(set(np.asarray(positive).tolist())) < 2:
        return {"false_positive_rate": [], "true_positive_rate": [], "precision": [], "recall": []}
    false, true, _ = roc_curve(positive, scores)
    precision, recall, _ = precision_recall_curve(positive, scores)
    return {
        "false_positive_rate": _thin(false),
        "true_positive_rate": _thin(true),
        "precision": _thin(precision),
        "recall": _thin(recall),
    }


def _thin(values: Any) -> list[float]:
    import numpy as np

    positions = np.unique(np.linspace(0, len(values) - 1, min(POINTS, len(values))).round().astype(int))
    return [float(values[index]) for index in positions]


def areas(positive: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return ROC-AUC and PR-AUC (average precision) of scores (N,); NaN without positive or negative rows."""
    area = roc_auc(positive, scores) if _has_both(positive) else float("nan")
    return {"roc_auc": area, "pr_auc": pr_auc(positive, scores)}


def pr_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Return the average precision of scores (N,); NaN without positive or negative rows."""
    return average_precision(positive, scores) if _has_both(positive) else float("nan")


def _has_both(positive: np.ndarray) -> bool:
    return bool(positive.any() and not positive.all())
