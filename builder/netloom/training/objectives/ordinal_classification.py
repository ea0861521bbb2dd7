"""Ordinal classification with the ranked probability score.

Epstein 1969, https://doi.org/10.1175/1520-0450(1969)008<0985:ASSFPF>2.0.CO;2; as a loss of networks: Hou, Yu and
Samaras 2016, https://arxiv.org/abs/1611.05916.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from netloom.tasks import ordinal_classification
from netloom.training.objectives.classification import Classification
from netloom.training.objectives.evaluation import Evaluation, Worst
from netloom.training.objectives.objective import NOTHING, WORST, Scores, Settings

if TYPE_CHECKING:
    import numpy as np
    import torch

    from netloom.data import Prepared


class OrdinalClassification(Classification):
    """The squared distance between the cumulative probabilities of logits (N, classes) and of class numbers (N,),
    summed over all classes but the last. It is 0 if all probability is on the true class."""

    task = ordinal_classification.OrdinalClassification()

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return ranked_probability(output, target).mean()

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        predicted = output.argmax(1)
        sums = {
            "loss": ranked_probability(output, target).sum(),
            "accuracy": (predicted == target).sum(),
            "rank_error": (predicted - target).abs().sum(),
        }
        return Scores(sums, len(target), {"true": target, "predicted": predicted})

    def metrics_of_values(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        import torch

        true, predicted = torch.from_numpy(values["true"]), torch.from_numpy(values["predicted"])
        return {"kappa": weighted_kappa(true, predicted)}

    def guess_loss(self, output: torch.Tensor) -> float | None:
        return None  # ranked probability score: at most the number of classes - 1, whatever the scale of the logits

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        evaluation, target = super().evaluate(output, data, rows, split, chosen), data.target[rows]
        losses, (confidence, predicted) = ranked_probability(output, target), output.softmax(1).max(1)
        names = data.schema.target.classes
        metrics = {
            "accuracy": evaluation.metrics["accuracy"],
            "rank_error": float((predicted - target).abs().float().mean()),
            "kappa": weighted_kappa(target, predicted),
            "loss": float(losses.mean()),
            "macro_f1": evaluation.metrics["macro_f1"],
        }
        worst = [
            Worst(int(rows[i]), float(losses[i]), names[int(target[i])], names[int(predicted[i])], float(confidence[i]))
            for i in losses.argsort(descending=True)[:WORST].tolist()
        ]
        return replace(evaluation, metrics=metrics, worst=worst)


def ranked_probability(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the ranked probability score (N,) of logits (N, classes) against class numbers (N,)."""
    import torch

    cumulative = output.softmax(1).cumsum(1)[:, :-1]  # (N, classes − 1), without the last, which is always 1
    reached = torch.arange(cumulative.shape[1], device=target.device) >= target.unsqueeze(1)
    return (cumulative - reached.to(cumulative.dtype)).square().sum(1)


def weighted_kappa(target: torch.Tensor, predicted: torch.Tensor) -> float:
    """Return Cohen's κ of class numbers (N,) with quadratic weights; NaN if all rows have the same class.

    Cohen 1968, https://doi.org/10.1037/h0026256
    """
    import torch

    classes = int(torch.maximum(target, predicted).max()) + 1 if len(target) else 0
    counts = torch.bincount(target * classes + predicted, minlength=classes**2).reshape(classes, classes).double()
    ranks = torch.arange(classes, dtype=torch.float64)
    distance = (ranks[:, None] - ranks[None, :]).square()
    by_chance = counts.sum(1, keepdim=True) * counts.sum(0, keepdim=True) / counts.sum()
    expected = float((distance * by_chance).sum())
    return 1 - float((distance * counts).sum()) / expected if expected else float("nan")
