"""One of several classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netloom.tasks import classification
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.classification_report import by_class, class_scores, confusion, macro_f1, roc_auc
from netloom.training.objectives.evaluation import Evaluation, Worst
from netloom.training.objectives.objective import NOTHING, WORST, Objective, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction

if TYPE_CHECKING:
    import numpy as np
    import torch

    from netloom.data import Prepared


class Classification(Objective):
    """Cross-entropy over logits (N, classes) and class numbers (N,).

    Metrics always use the unweighted loss, so that runs with different weights or smoothing are comparable.
    """

    task = classification.Classification()

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.loss_weights.entropy(output, target)

    def mass(self, target: torch.Tensor) -> torch.Tensor | float:
        return self.loss_weights.mass(target)

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        from torch.nn import functional

        loss = functional.cross_entropy(output, target, reduction="sum")
        predicted = output.argmax(1)
        sums = {"loss": loss, "accuracy": (predicted == target).sum()}
        return Scores(sums, len(target), {"true": target, "predicted": predicted})

    def metrics_of_values(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        return {"macro_f1": macro_f1(values["true"], values["predicted"])}

    def guess_loss(self, output: torch.Tensor) -> float | None:
        return math.log(output.shape[1])

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        return reference_predictors.majority(data, rows)

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        from torch.nn import functional

        classes = data.schema.target.classes
        target = data.target[rows]
        losses = functional.cross_entropy(output, target, reduction="none")
        shares = output.softmax(1)
        confidence, predicted = shares.max(1)
        truth, guess = target.numpy(), predicted.numpy()
        counts = confusion(truth, guess, len(classes))
        scores = class_scores(counts)
        _, recall, _, support = scores
        # As in scikit-learn, a class without rows has no recall
        present = support > 0
        worst = losses.argsort(descending=True)[:WORST].tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "accuracy": float((truth == guess).mean()),
                "loss": float(losses.mean()),
                "macro_f1": macro_f1(truth, guess),
                "balanced_accuracy": float(recall[present].mean()),
                **_roc_auc(truth, shares.numpy()),
            },
            classes=classes,
            confusion=counts.tolist(),
            report=by_class(classes, scores),
            worst=[
                Worst(int(rows[i]), float(losses[i]), classes[truth[i]], classes[guess[i]], float(confidence[i]))
                for i in worst
            ],
        )


def _roc_auc(truth: Any, shares: Any) -> dict[str, float]:
    """Return the ROC-AUC for two classes; empty for more classes, or if the rows have only one."""
    if shares.shape[1] != 2 or len(set(truth.tolist())) != 2:
        return {}
    return {"roc_auc": roc_auc(truth, shares[:, 1])}
