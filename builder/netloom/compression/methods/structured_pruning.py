"""Structured pruning: the least important channels of each layer are removed, with all of their weights.

https://arxiv.org/abs/2301.12900
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.compression.importance import TITLES, Criterion, importance
from netloom.compression.method import DocumentMethod, Smaller
from netloom.compression.narrowing import narrowed

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

AMOUNT = 0.5


class StructuredPruning(DocumentMethod):
    """Layers with fewer channels, units or heads, and the weights of those that stay."""

    name = "structured_pruning"
    title = "Structured pruning"
    summary = "The least important half of the channels of each layer is removed; needs fine-tuning"
    order = 26
    settings = ("amount", "criterion")

    def __init__(self, amount: float = AMOUNT, criterion: Criterion = "l1") -> None:
        self.amount, self.criterion = amount, criterion

    @property
    def label(self) -> str:
        return f"{super().label} {self.amount:.0%}"

    def smaller(self, trained: TrainedRun) -> Smaller:
        narrow = narrowed(trained, self.amount, importance(trained, self.criterion))
        before = sum(value.numel() for value in trained.model.parameters())
        after = sum(value.numel() for value in narrow.model().parameters())
        layers = f"{len(narrow.widths)} layer{'s' * (len(narrow.widths) > 1)}"
        note = (
            f"Removed {self.amount:.0%} of the channels of {layers}, chosen by {TITLES[self.criterion]}: {after:,} "
            f"instead of {before:,} parameters."
        )
        return Smaller(narrow.project, narrow.state, note)
