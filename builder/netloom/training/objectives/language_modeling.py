"""Language modeling: prediction of the next token."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from netloom.tasks import language_modeling
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.evaluation import Evaluation, Worst
from netloom.training.objectives.objective import NOTHING, WORST, Objective, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared


class LanguageModeling(Objective):
    """Cross-entropy in nats per token, over logits (N, T, vocabulary) and tokens (N, T)."""

    task = language_modeling.LanguageModeling()

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.loss_weights.entropy(output.flatten(0, 1), target.flatten())

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        from torch.nn import functional

        loss = functional.cross_entropy(output.flatten(0, 1), target.flatten(), reduction="sum")
        return Scores({"loss": loss, "accuracy": (output.argmax(2) == target).sum()}, target.numel())

    def guess_loss(self, output: torch.Tensor) -> float | None:
        return math.log(output.shape[2])

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        # Limited, because `exp` overflows above 709 and a diverging run must not fail on its perplexity
        return {**means, "perplexity": math.exp(min(means["loss"], 50.0))}

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        return reference_predictors.next_token(data, rows)

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        from torch.nn import functional

        target = data.target[rows]
        losses = functional.cross_entropy(output.transpose(1, 2), target, reduction="none")  # (N, T)
        loss = float(losses.mean())
        by_row = losses.mean(1)
        guess = output.argmax(2)
        worst = by_row.argsort(descending=True)[:WORST].tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "loss": loss,
                "perplexity": math.exp(min(loss, 50.0)),
                "bits_per_token": loss / math.log(2),
                "accuracy": float((guess == target).float().mean()),
            },
            worst=[
                Worst(int(rows[i]), float(by_row[i]), data.decode(target[i]), data.decode(guess[i]), None)
                for i in worst
            ],
        )
