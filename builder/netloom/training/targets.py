"""Targets of a batch: one per row, two mixed ones, or weighted ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    import torch


class MixedTargets:
    """Two targets for each row; the first has the weight `share`. Slices like a tensor."""

    def __init__(self, first: torch.Tensor, second: torch.Tensor, share: float) -> None:
        self.first, self.second, self.share = first, second, share

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: slice) -> MixedTargets:
        return MixedTargets(self.first[rows], self.second[rows], self.share)


class WeightedTargets:
    """A target and a weight for each row, `weights` (N,). Slices like a tensor."""

    def __init__(self, target: torch.Tensor | MixedTargets, weights: torch.Tensor) -> None:
        self.target, self.weights = target, weights

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, rows: slice) -> WeightedTargets:
        return WeightedTargets(self.target[rows], self.weights[rows])


Targets: TypeAlias = "torch.Tensor | MixedTargets | WeightedTargets"


def map_targets(targets: Targets, change: Callable[[torch.Tensor], torch.Tensor]) -> Targets:
    """Return the targets with a function applied to each tensor."""
    if isinstance(targets, WeightedTargets):
        return WeightedTargets(
            cast("torch.Tensor | MixedTargets", map_targets(targets.target, change)), targets.weights
        )
    if isinstance(targets, MixedTargets):
        return MixedTargets(change(targets.first), change(targets.second), targets.share)
    return change(targets)
