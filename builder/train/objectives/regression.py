"""A number, or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from builder.train.objectives.base import NOTHING, WORST, Evaluation, Scores, Settings, Worst
from builder.train.objectives.losses import SquaredLoss

if TYPE_CHECKING:
    import torch

    from builder.data import Prepared
    from builder.graph import Training


LOSSES = {
    "mse": "Mean squared error",
    "mae": "Mean absolute error",
    "huber": "Huber loss",
    "quantile": "Quantile loss",
}


class Regression(SquaredLoss):
    """Mean squared error, or another, between (N, k) and (N, k), in standard deviations of the training targets."""

    name = "regression"
    title = "Regression"
    summary = "A number for every example"
    takes = ("regression_loss",)

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.pricing.error(output, target)

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        cost = self.pricing.error(output, target, "sum")
        return Scores({"loss": cost, "mae": (output - target).abs().sum()}, target.numel())

    def titles(self, training: Training) -> dict[str, str]:
        return {**self.metrics, "loss": LOSSES[training.regression_loss]}

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        predicted, target = data.restore(output), data.restore(data.target[rows])  # in the data's own units
        error = predicted - target
        spread = (target - target.mean(0)).square().sum()
        size = error.abs().flatten(1).mean(1)
        worst = size.argsort(descending=True)[:WORST].tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "rmse": float(error.square().mean().sqrt()),
                "mae": float(error.abs().mean()),
                "r2": float(1 - error.square().sum() / spread) if spread > 0 else float("nan"),
            },
            residuals={"target": target.flatten().tolist(), "predicted": predicted.flatten().tolist()},
            worst=[
                Worst(int(rows[i]), float(size[i]), _numbers(target[i]), _numbers(predicted[i]), None) for i in worst
            ],
        )

    def answers(
        self,
        output: torch.Tensor,
        data: Prepared,
        inputs: Mapping[str, torch.Tensor] = NOTHING,
        chosen: Settings = NOTHING,
    ) -> list[dict[str, Any]]:
        return [{"prediction": row[0] if len(row) == 1 else row} for row in data.restore(output).tolist()]


def _numbers(values: torch.Tensor) -> str:
    return ", ".join(f"{value:.4g}" for value in values.flatten().tolist())
