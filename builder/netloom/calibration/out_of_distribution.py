"""Out-of-distribution scores: how much an input resembles the training data, and how well that separates other data.

The maximum softmax probability is that of Hendrycks and Gimpel 2017, https://arxiv.org/abs/1610.02136, the energy that
of Liu et al. 2020, https://arxiv.org/abs/2010.03759.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ACCEPTED_SHARE = 0.95  # the share of validation rows that a threshold accepts
MAX_DRAWN = 2_000


@dataclass(frozen=True)
class Separability:
    """How well a score separates rows of the data from other rows.

    `auroc` is the probability that a row of the data has the higher score; `fpr95` the share of other rows that are
    accepted by the threshold that accepts 95% of the rows of the data, and `accepted` that of the threshold that was
    chosen on the validation rows.
    """

    other: str
    rows: int
    auroc: float
    fpr95: float
    accepted: float


@dataclass(frozen=True)
class ScoreReport:
    """One score: its threshold, the share of test rows that it accepts, what it separates, and values to draw by the
    name of the data."""

    name: str
    title: str
    threshold: float
    accepted: float
    separates: tuple[Separability, ...]
    drawn: dict[str, list[float]]
    applies: bool  # whether it can be part of predictions


def threshold_of(scores: np.ndarray, accepted_share: float = ACCEPTED_SHARE) -> float:
    """Return the largest threshold that accepts at least a share of the validation rows, from their scores (N,)."""
    accepted = int(np.ceil(accepted_share * len(scores)))
    return float(np.sort(scores)[::-1][accepted - 1])


def separability(comparison_name: str, inside: np.ndarray, outside: np.ndarray, threshold: float) -> Separability:
    """Return how well scores separate test rows (N,) from other rows (M,)."""
    from sklearn.metrics import roc_auc_score

    truth = np.concatenate([np.ones(len(inside)), np.zeros(len(outside))])
    auroc = float(roc_auc_score(truth, np.concatenate([inside, outside])))
    return Separability(
        comparison_name,
        len(outside),
        auroc,
        float((outside >= threshold_of(inside)).mean()),
        float((outside >= threshold).mean()),
    )


def score_report(
    name: str,
    title: str,
    validation: np.ndarray,
    test: np.ndarray,
    comparison_scores: dict[str, np.ndarray],
    *,
    applies: bool,
) -> ScoreReport:
    """Return the report of a score from its values for validation, test and other rows."""
    threshold = threshold_of(validation)
    drawn = {"Test rows": test, **comparison_scores}
    return ScoreReport(
        name,
        title,
        threshold,
        float((test >= threshold).mean()),
        tuple(
            separability(comparison_name, test, scores, threshold)
            for comparison_name, scores in comparison_scores.items()
        ),
        {label: scores[:: max(1, len(scores) // MAX_DRAWN)].tolist() for label, scores in drawn.items()},
        applies,
    )
