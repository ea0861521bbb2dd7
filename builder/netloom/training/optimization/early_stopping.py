"""Early stopping and the best weights so far."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netloom.training.weights.weight_files import StateDict

if TYPE_CHECKING:
    from torch import nn


@dataclass
class Best:
    """The best value of the monitored metric so far, its epoch and step, and its weights."""

    value: float = math.inf
    epoch: int = 0
    step: int = 0
    weights: dict[str, Any] = field(default_factory=dict)


class EarlyStopping:
    """Keeps a copy of the best weights, and requests a stop after `patience` epochs without improvement; None: never.

    For equal values, keeps the earlier weights, or with `prefer_later` the later ones.
    """

    def __init__(self, *, higher_is_better: bool, patience: int | None, prefer_later: bool = False) -> None:
        self._sign = -1 if higher_is_better else 1
        self.patience, self.prefer_later = patience, prefer_later
        self.best = Best(self._sign * math.inf)
        self.epochs_since_best = 0

    @property
    def should_stop(self) -> bool:
        return self.patience is not None and self.epochs_since_best >= self.patience

    def update(self, value: float, epoch: int, step: int, model: nn.Module) -> bool:
        """Update with the monitored metric after an epoch. Returns whether it improved."""
        # False for NaN. An equal value can replace the weights, but is not an improvement that postpones the stop.
        is_better = self._sign * value < self._sign * self.best.value
        if is_better or (self.prefer_later and value == self.best.value):
            weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            self.best = Best(value, epoch, step, weights)
        self.epochs_since_best = 0 if is_better else self.epochs_since_best + 1
        return is_better

    def state_dict(self) -> StateDict:
        best = {"value": self.best.value, "epoch": self.best.epoch, "step": self.best.step}
        return {"best": best, "since_best": self.epochs_since_best}

    def load_state_dict(self, state: StateDict, weights: dict[str, Any] | None) -> None:
        """Restore `state`. Ignores a best value without weights: no weights would be saved until it improves."""
        self.epochs_since_best = state["since_best"]
        self.best = Best(**state["best"], weights=weights) if weights else Best(self._sign * math.inf)
