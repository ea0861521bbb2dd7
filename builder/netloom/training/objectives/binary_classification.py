"""Binary classification from one logit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from netloom.data.preparation.calibrated import Decoding
from netloom.tasks import binary_classification
from netloom.tasks.chosen_thresholds import HALF, threshold_of
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.classification_report import by_class, class_scores, confusion
from netloom.training.objectives.evaluation import Evaluation, Worst
from netloom.training.objectives.objective import NOTHING, WORST, Objective, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction
from netloom.training.objectives.thresholds import areas, best_threshold, curves

if TYPE_CHECKING:
    import numpy as np
    import torch

    from netloom.data import Prepared


class BinaryClassification(Objective):
    """Binary cross-entropy between one logit (N, 1) and 0 or 1 (N, 1); the second class is the positive one. The
    decision threshold is chosen on the validation rows."""

    task = binary_classification.BinaryClassification()

    def target(self, data: Prepared) -> torch.Tensor:
        return data.target.float().unsqueeze(1)

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.loss_weights.binary(output, target)

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        from torch.nn import functional

        loss = functional.binary_cross_entropy_with_logits(output, target, reduction="sum")
        # A logit above 0 is a probability above 0.5; the tuned threshold is chosen only after training.
        sums = {"loss": loss, "accuracy": ((output > 0) == (target > HALF)).sum()}
        return Scores(sums, len(target), {"positive": target[:, 0] > HALF, "score": output[:, 0].sigmoid()})

    def metrics_of_values(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        return areas(values["positive"], values["score"])

    def guess_loss(self, output: torch.Tensor) -> float | None:
        return math.log(2)

    def calibrate(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> Settings:
        """Choose the probability threshold with the best F1."""
        return {"threshold": best_threshold(output[:, 0].sigmoid(), data.target[rows] == 1)}

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        return reference_predictors.base_rates(data, rows)

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        from torch.nn import functional

        classes, threshold = data.schema.target.classes, threshold_of(chosen)
        shares, target = output[:, 0].sigmoid(), data.target[rows]
        losses = functional.binary_cross_entropy_with_logits(output[:, 0], target.float(), reduction="none")
        truth, guess = target.numpy(), (shares > threshold).long().numpy()
        counts = confusion(truth, guess, 2)
        scores = class_scores(counts)
        precision, recall, f1, _ = scores
        predictions = {"truth": truth, "scores": shares.double().numpy()}
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "accuracy": float((truth == guess).mean()),
                "loss": float(losses.mean()),
                **areas(predictions["truth"], predictions["scores"]),
                "f1": float(f1[1]),
                "precision": float(precision[1]),
                "recall": float(recall[1]),
                "threshold": threshold,
            },
            classes=classes,
            confusion=counts.tolist(),
            report=by_class(classes, scores),
            separation={
                "usual": shares[target == 0].tolist(),
                "unusual": shares[target == 1].tolist(),
                "threshold": threshold,
                "names": list(classes),
                "score": f"Probability of {classes[1]}",
                **curves(predictions["truth"], predictions["scores"]),
            },
            worst=[
                Worst(int(rows[i]), float(losses[i]), classes[truth[i]], classes[guess[i]], _sure(float(shares[i])))
                for i in losses.argsort(descending=True)[:WORST].tolist()
            ],
        )

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        return {**data.fitted_target.to_json(), "kind": "binary", "threshold": HALF, **chosen}


def _sure(share: float) -> float:
    """Return the probability of the more likely class."""
    return max(share, 1 - share)
