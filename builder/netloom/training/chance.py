"""Compare an evaluation with that of a trivial predictor, such as one that always predicts the majority class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from netloom.core.text import counted, in_sentence
from netloom.tasks import higher_is_better, metric
from netloom.training.uncertainty import difference_of_shares

if TYPE_CHECKING:
    from netloom.training.objectives.evaluation import Evaluation

# Metrics on which a network that learned nothing does not beat the trivial predictor, in order of preference. F1 and
# IoU are excluded: random predictions score far above a constant one.
METRICS = (
    "accuracy", "subset_accuracy", "balanced_accuracy", "kappa", "roc_auc", "r2", "token_accuracy", "word_accuracy",
    "pair_accuracy", "map", "map_50", "hamming_loss", "mae", "rmse", "mse", "loss"
)  # fmt: skip


def is_at_chance(evaluation: Evaluation) -> bool:
    """Return whether no metric with an interval and a trivial reference is significantly better than the reference.

    Without any interval, as for few groups of rows, whether no metric is better at all.
    """
    metrics = _compared_metrics(evaluation)
    return bool(metrics) and not any(_beats(evaluation, name) for name in metrics)


def chance_sentence(evaluation: Evaluation) -> str:
    """Return that a network does not beat the trivial predictor as a sentence; "" if it does, or if it is unknown."""
    if not is_at_chance(evaluation):
        return ""
    return (
        "The model does not measurably beat a trivial predictor on "
        f"{counted(evaluation.rows, f'{evaluation.split} row')}: {compared(evaluation)}."
    )


def score_notes(evaluation: Evaluation) -> list[str]:
    """Return what makes the metrics misleading, and that they are not better than those of a trivial predictor."""
    sentences = [caveat.message for caveat in evaluation.caveats]
    return [*sentences, *filter(None, [chance_sentence(evaluation)])]


def trivial_title(evaluation: Evaluation) -> str:
    """Return the name of the trivial predictor within a sentence; "" without one."""
    title = evaluation.reference.title if evaluation.reference else ""
    return in_sentence(title)


def compared(evaluation: Evaluation) -> str:
    """Return the first metric of the model and of the trivial predictor; "" if there is none."""
    names = _compared_metrics(evaluation)
    if evaluation.reference is None or not names:
        return ""
    name, declared = names[0], metric(names[0])
    measured, trivial = declared.written(evaluation.metrics[name]), declared.written(evaluation.reference.metrics[name])
    return f"{in_sentence(declared.title)} {measured} ({trivial_title(evaluation)}: {trivial})"


def _compared_metrics(evaluation: Evaluation) -> list[str]:
    """Return the metrics to compare, also those of several outputs, such as `accuracy (color)`."""
    reference = evaluation.reference.metrics if evaluation.reference else {}
    defined = [name for name, value in evaluation.metrics.items() if not math.isnan(value)]
    names = [name for name in evaluation.intervals or defined if name in reference]
    return [name for measure in METRICS for name in names if name.partition(" (")[0] == measure]


def _beats(evaluation: Evaluation, name: str) -> bool:
    trivial = evaluation.reference.metrics[name] if evaluation.reference else float("nan")
    low, high = evaluation.intervals.get(name, (evaluation.metrics[name],) * 2)
    if name in evaluation.proportions:
        # The share of the trivial predictor is uncertain, too: without that, 8% of guessing networks would beat it.
        counts = [(round(share * evaluation.rows), evaluation.rows) for share in (trivial, evaluation.metrics[name])]
        difference = difference_of_shares(counts[0], counts[1])
        return difference["is_significant"] and (difference["difference"] or 0) > 0
    return low > trivial if higher_is_better(name) else high < trivial
