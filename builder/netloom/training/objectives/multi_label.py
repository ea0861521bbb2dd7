"""Multi-label classification."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netloom.data.preparation.calibrated import Decoding
from netloom.tasks import multi_label
from netloom.tasks.chosen_thresholds import HALF, label_thresholds
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.average_precision import mean_average_precision
from netloom.training.objectives.classification_report import by_class
from netloom.training.objectives.evaluation import Evaluation, Worst
from netloom.training.objectives.objective import NOTHING, WORST, Objective, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction
from netloom.training.objectives.thresholds import areas, best_threshold, pr_auc

if TYPE_CHECKING:
    import numpy as np
    import torch

    from netloom.data import Prepared


class MultiLabel(Objective):
    """Binary cross-entropy between logits (N, L) and 0/1 targets (N, L), averaged over rows and labels.

    The decision threshold of each label is chosen on the validation rows.
    """

    task = multi_label.MultiLabel()

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.loss_weights.binary(output, target)

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        from torch.nn import functional

        labels = target.shape[1]
        predicted, true = output > 0, target > HALF
        right = predicted == true
        sums = {
            "loss": functional.binary_cross_entropy_with_logits(output, target, reduction="sum") / labels,
            "accuracy": right.sum() / labels,
            "subset_accuracy": right.all(1).sum(),
            "hits": (predicted & true).sum(),
            "called": predicted.sum() + true.sum(),
        }
        return Scores(sums, len(target), {"true": true, "scores": output.sigmoid()})

    def metrics_of_values(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        true, scores = values["true"], values["scores"]
        averages = (pr_auc(true[:, label], scores[:, label]) for label in range(true.shape[1]))
        return {"mean_average_precision": mean_average_precision(averages)}

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        metrics = {name: means[name] for name in ("loss", "accuracy", "subset_accuracy")}
        # The means have the same divisor, which cancels in the ratio of the sums.
        return {**metrics, "micro_f1": 2 * means["hits"] / means["called"] if means["called"] else 0.0}

    def guess_loss(self, output: torch.Tensor) -> float | None:
        return math.log(2)

    def calibrate(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> Settings:
        """Choose the threshold of each label with the best F1; by label index."""
        shares, true = output.sigmoid(), data.target[rows] > HALF
        return {str(label): best_threshold(shares[:, label], true[:, label]) for label in range(shares.shape[1])}

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        return reference_predictors.base_rates(data, rows)

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        import numpy as np
        from sklearn.metrics import f1_score, precision_recall_fscore_support
        from torch.nn import functional

        classes, target = data.schema.target.classes, data.target[rows]
        limits = label_thresholds(chosen, len(classes))
        shares, true = output.sigmoid().double().numpy(), (target > HALF).numpy()
        predicted = shares > np.array(limits)
        losses = functional.binary_cross_entropy_with_logits(output, target, reduction="none").mean(1)
        scores = precision_recall_fscore_support(true, predicted, zero_division=0)
        label_areas = [areas(true[:, label], shares[:, label]) for label in range(len(classes))]
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "subset_accuracy": float((predicted == true).all(1).mean()),
                "micro_f1": float(f1_score(true, predicted, average="micro", zero_division=0)),
                "macro_f1": float(scores[2].mean()),
                "mean_average_precision": mean_average_precision(area["pr_auc"] for area in label_areas),
                "hamming_loss": float((predicted != true).mean()),
                "loss": float(losses.mean()),
            },
            classes=classes,
            report=[
                row | {"average_precision": area["pr_auc"], "roc_auc": area["roc_auc"], "threshold": limit}
                for row, area, limit in zip(by_class(classes, scores), label_areas, limits, strict=True)
            ],
            worst=[
                Worst(int(rows[i]), float(losses[i]), listed(classes, true[i]), listed(classes, predicted[i]), None)
                for i in losses.argsort(descending=True)[:WORST].tolist()
            ],
        )

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        classes = data.schema.target.classes
        return {**data.fitted_target.to_json(), "thresholds": label_thresholds(chosen, len(classes))}


def listed(classes: tuple[str, ...], applies: Any) -> str:
    """Return labels as text."""
    return ", ".join(name for name, is_true in zip(classes, applies, strict=True) if is_true) or "none"
