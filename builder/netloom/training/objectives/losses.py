"""Losses shared by several objectives, with their sums over an epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from netloom.modalities.encoding.tags import IGNORE
from netloom.training.objectives.objective import Objective, Scores

if TYPE_CHECKING:
    import torch


class ErrorLoss(Objective):
    """Mean squared error, or another loss, between two tensors of one shape (N, …)."""

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.loss_weights.error(output, target)

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        cost = self.loss_weights.error(output, target, "sum")
        return Scores({"loss": cost, "mae": (output - target).abs().sum()}, target.numel())


class StepCrossEntropy(Objective):
    """Cross-entropy over logits (N, T, classes) and class numbers (N, T); ignores steps without a target."""

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.loss_weights.entropy(output.flatten(0, 1), target.flatten(), ignore_index=IGNORE)

    def mass(self, target: torch.Tensor) -> torch.Tensor | float:
        return self.loss_weights.mass(
            target[target != IGNORE]
        )  # the mean of `entropy` is over steps with a target only

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        from torch.nn import functional

        loss = functional.cross_entropy(output.flatten(0, 1), target.flatten(), ignore_index=IGNORE, reduction="sum")
        return Scores({"loss": loss, "accuracy": (output.argmax(2) == target).sum()}, int((target != IGNORE).sum()))

    def guess_loss(self, output: torch.Tensor) -> float | None:
        return math.log(output.shape[2])
