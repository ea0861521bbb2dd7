"""A number, or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from builder.train.objectives.base import NOTHING, WORST, Evaluation, Settings, Worst
from builder.train.objectives.losses import SquaredLoss

if TYPE_CHECKING:
    import torch

    from builder.data import Prepared


class Regression(SquaredLoss):
    """Mean squared error between (N, k) and (N, k), in units of the training targets' standard deviation."""

    name = "regression"
    title = "Regression"
    summary = "A number for every example"

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
