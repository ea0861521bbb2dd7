"""Regression of one or more numbers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self

from netloom.core.text import number
from netloom.tasks import regression
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.evaluation import Evaluation, ScoreRow, Worst
from netloom.training.objectives.losses import SquaredLoss
from netloom.training.objectives.objective import NOTHING, WORST, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared, Schema
    from netloom.document import Training


LOSSES = {
    "mse": "Mean squared error",
    "mae": "Mean absolute error",
    "huber": "Huber loss",
    "quantile": "Quantile loss",
}


class Regression(SquaredLoss):
    """Mean squared error or another loss between (N, k) and (N, k), in standard deviations of the training targets."""

    task = regression.Regression()
    # The quantile to predict; None: the minimizer of the loss, such as the mean for squared error.
    quantile: float | None = None

    def described(self, training: Training, schema: Schema) -> Self:
        described = copy.copy(self)
        described.quantile = training.quantile if training.regression_loss == "quantile" else None
        return described

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.loss_weights.error(output, target)

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        cost = self.loss_weights.error(output, target, "sum")
        return Scores({"loss": cost, "mae": (output - target).abs().sum()}, target.numel())

    def titles(self, training: Training) -> dict[str, str]:
        return {**self.metrics, "loss": LOSSES[training.regression_loss]}

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        return reference_predictors.forecast(data, rows) or reference_predictors.mean(data, rows, self.quantile)

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        predicted, target = data.restore(output), data.restore(data.target[rows])  # in the units of the data
        error = predicted - target
        spread = (target - target.mean(0)).square().sum()  # around the mean of each of the k numbers
        size = error.abs().flatten(1).mean(1)
        worst = size.argsort(descending=True)[:WORST].tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics=self._of_quantile(target - predicted)
            | {
                "rmse": float(error.square().mean().sqrt()),
                "mae": float(error.abs().mean()),
                "r2": float(1 - error.square().sum() / spread) if spread > 0 else float("nan"),
            },
            report=_each(target, error) if error.flatten(1).shape[1] > 1 else None,
            residuals={"target": target.flatten().tolist(), "predicted": predicted.flatten().tolist()},
            worst=[
                Worst(int(rows[i]), float(size[i]), _numbers(target[i]), _numbers(predicted[i]), None) for i in worst
            ],
        )

    def _of_quantile(self, over: torch.Tensor) -> dict[str, float]:
        """Return the pinball loss of targets that are `over` the prediction by this much, and the coverage."""
        share = self.quantile
        if share is None:
            return {}
        pinball = (share * over).maximum((share - 1) * over).mean()
        return {"pinball": float(pinball), "coverage": float((over <= 0).double().mean())}


def _each(target: torch.Tensor, error: torch.Tensor) -> list[ScoreRow]:
    """Return the metrics of each of several numbers (N, k), such as each step of a horizon."""
    square, spread = error.square().flatten(1), (target - target.mean(0)).square().flatten(1).mean(0)
    rows = zip(square.mean(0).tolist(), error.abs().flatten(1).mean(0).tolist(), spread.tolist(), strict=True)
    return [
        {"output": place, "rmse": mse**0.5, "mae": mae, "r2": 1 - mse / around if around > 0 else float("nan")}
        for place, (mse, mae, around) in enumerate(rows, 1)
    ]


def _numbers(values: torch.Tensor) -> str:
    return ", ".join(number(value) for value in values.flatten().tolist())
