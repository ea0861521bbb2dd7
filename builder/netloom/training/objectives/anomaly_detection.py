"""Anomaly detection by reconstruction error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from netloom.data.preparation.calibrated import Decoding
from netloom.modalities.encoding.rows import Answer
from netloom.tasks import anomaly_detection
from netloom.training.errors import TrainingError
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.classification_report import roc_auc
from netloom.training.objectives.evaluation import Evaluation, Worst
from netloom.training.objectives.objective import NOTHING, WORST, Scores, Settings
from netloom.training.objectives.reconstruction import Reconstruction, row_errors, side_by_side
from netloom.training.objectives.reference_predictors import BaselinePrediction
from netloom.training.objectives.thresholds import areas, maximize_f1

if TYPE_CHECKING:
    import numpy as np
    import torch

    from netloom.data import Prepared
    from netloom.document import Training


class AnomalyDetection(Reconstruction):
    """Reconstruction that learns from normal rows only: a larger error means a more anomalous row.

    The most common class of the training rows is normal. The target (N, 1 + values) holds whether a row is normal and
    then its values, so that anomalous rows do not enter the loss. The threshold is chosen on the validation rows.
    """

    task = anomaly_detection.AnomalyDetection()

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        rows, usual = data.split["validation"], usual_class(data)
        if len(rows) and not bool((data.target[rows] == usual).any()):
            raise TrainingError(
                f"No validation row is of the class {data.schema.target.classes[usual]!r}, the most common one of the "
                "training rows, whose errors select the weights; choose another split."
            )
        return super().configured(training, data, device)

    def target(self, data: Prepared) -> torch.Tensor:
        import torch

        usual = (data.target == usual_class(data)).float().unsqueeze(1)
        return torch.cat([usual, super().target(data).flatten(1)], dim=1)

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        usual, error = target[:, 0], self._row_losses(output, target)
        return (error * usual).sum() / usual.sum().clamp(min=1)  # 0 for a batch without normal rows, instead of 0/0

    def mass(self, target: torch.Tensor) -> torch.Tensor | float:
        return target[:, 0].sum().clamp(min=1)

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        usual = target[:, 0] > 0
        error = (output.flatten(1) - target[:, 1:])[usual].abs().mean(1)
        # Metrics are means over normal rows; a batch without any adds nothing to the sums.
        losses = self._row_losses(output, target)[usual]
        values = {"unusual": ~usual, "error": row_errors(output.flatten(1), target[:, 1:])}
        return Scores({"loss": losses.sum(), "mae": error.sum()}, int(usual.sum()), values)

    def metrics_of_values(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        return {"roc_auc": areas(values["unusual"], values["error"])["roc_auc"]}

    def _row_losses(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of the values of each row, (N,)."""
        return self.loss_weights.error(output.flatten(1), target[:, 1:], "none").mean(1)

    def calibrate(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> Settings:
        """Choose the threshold with the best F1 for anomalous rows."""
        return {"threshold": choose_threshold(*_errors_and_labels(output, data, rows))}

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        """Return the distance from the mean of the normal training rows."""
        train = data.split["train"]
        usual = train[data.target[train] == usual_class(data)]
        mean = reference_predictors.mean_of(data.inputs[data.schema.inputs[0].name], usual, rows)
        return BaselinePrediction("Distance from the mean", mean.output)

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        from sklearn.metrics import precision_recall_fscore_support, roc_curve

        error, unusual = _errors_and_labels(output, data, rows)
        threshold = chosen.get("threshold", float("inf"))
        predicted = error > threshold
        truth, guess = unusual.numpy(), predicted.numpy()
        precision, recall, f1, _ = precision_recall_fscore_support(truth, guess, average="binary", zero_division=0)
        both = bool(unusual.any()) and not bool(unusual.all())
        false, true, _ = roc_curve(truth, error.numpy()) if both else ([], [], [])
        worst = _wrongness(error, threshold, predicted != unusual).argsort(descending=True)[:WORST].tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "roc_auc": roc_auc(truth, error.numpy()) if both else float("nan"),
                "precision": float(precision),
                "recall": float(recall),
                "f1": float(f1),
                "threshold": threshold,
            },
            worst=[
                Worst(
                    int(rows[i]),
                    float(error[i]),
                    data.target_text(int(rows[i])),
                    _word(bool(predicted[i])),
                    None,
                    correct=bool(predicted[i] == unusual[i]),
                )
                for i in worst
            ],
            panels=side_by_side(output, data, rows, error),
            separation={
                "usual": error[~unusual].tolist(),
                "unusual": error[unusual].tolist(),
                "threshold": threshold,
                "false_positive_rate": [float(value) for value in false],
                "true_positive_rate": [float(value) for value in true],
            },
        )

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        return {"kind": "input", **chosen}

    def answers(
        self,
        output: torch.Tensor,
        data: Prepared,
        inputs: Mapping[str, torch.Tensor] = NOTHING,
        chosen: Settings = NOTHING,
    ) -> list[Answer]:
        """Before a threshold is chosen, every row is predicted normal."""
        return super().answers(output, data, inputs, {"threshold": float("inf"), **chosen})


def usual_class(data: Prepared) -> int:
    """Return the most common class of the training rows."""
    return int(data.target[data.split["train"]].bincount().argmax())


def choose_threshold(error: torch.Tensor, unusual: torch.Tensor) -> float:
    """Return the threshold on errors (N,) with the best F1 for anomalies.

    Without anomalous rows, it is the greatest error of a normal one.
    """
    return maximize_f1(error, unusual) if bool(unusual.any()) else float(error.max())


def _errors_and_labels(output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the error of each row, and whether it is anomalous, (N,)."""
    inputs = data.inputs[data.schema.inputs[0].name][rows]
    return row_errors(output, inputs), data.target[rows] != usual_class(data)


def _wrongness(error: torch.Tensor, threshold: float, wrong: torch.Tensor) -> torch.Tensor:
    """Return a sort key (N,): wrong predictions far from the threshold first, correct ones last."""
    distance = (error - threshold).abs()
    # Maps distances to [0, 1], so that the sign alone separates wrong predictions from correct ones. The threshold is
    # infinite before calibration, which makes all quotients NaN.
    share = (distance / (1 + distance)).nan_to_num(1.0)
    return share.where(wrong, -share)


def _word(unusual: bool) -> str:
    return "unusual" if unusual else "usual"
