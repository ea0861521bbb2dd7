"""Batches of training rows, changed at random as the document says, and the loss where two rows are mixed or where rows
count more or less than others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

from netloom.data.augmentation import Augmenter

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.document import Training
    from netloom.training.objectives import Objective


class MixedTargets:
    """Two targets for each row, the first of which counts `share`. It is cut like a tensor."""

    def __init__(self, first: torch.Tensor, second: torch.Tensor, share: float) -> None:
        self.first, self.second, self.share = first, second, share

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: slice) -> MixedTargets:
        return MixedTargets(self.first[rows], self.second[rows], self.share)


class WeightedTargets:
    """A target for each row, and how much the row counts, `weights` (N,). It is cut like a tensor."""

    def __init__(self, target: torch.Tensor | MixedTargets, weights: torch.Tensor) -> None:
        self.target, self.weights = target, weights

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, rows: slice) -> WeightedTargets:
        return WeightedTargets(self.target[rows], self.weights[rows])


# What the loss of a batch is taken against.
Targets: TypeAlias = "torch.Tensor | MixedTargets | WeightedTargets"


class BatchAugmentation:
    """What a loop asks for each batch, where a document declares augmentations.

    Raises:
        DataError: one of them is not well declared, or fits no field that the network reads.
    """

    def __init__(self, training: Training, data: Prepared, fields: Sequence[str], target: torch.Tensor) -> None:
        self._augmenter = Augmenter(training.augment, data, fields, target)
        self._seed = training.seed

    def view(self, inputs: list[torch.Tensor], target: torch.Tensor, seed: tuple[int, ...]) -> list[torch.Tensor]:
        """The inputs of a batch after all augmentations; the same seed changes them in the same way."""
        return self._augmenter(inputs, target, seed)[0]

    def __call__(
        self, inputs: list[torch.Tensor], target: torch.Tensor | WeightedTargets, epoch: int, row: int
    ) -> tuple[list[torch.Tensor], Targets]:
        """The batch that begins at `row` of an epoch's order. The same batch is changed in the same way.

        Where two rows are mixed, the first says how much they count.
        """
        if isinstance(target, WeightedTargets):
            inputs, goal = self(inputs, cast("torch.Tensor", target.target), epoch, row)
            return inputs, WeightedTargets(cast("torch.Tensor | MixedTargets", goal), target.weights)
        inputs, target, mixed = self._augmenter(inputs, target, (self._seed, epoch, row))
        return inputs, target if mixed is None else MixedTargets(target, target[mixed.partner], mixed.share)


def mapped(goal: Targets, change: Callable[[torch.Tensor], torch.Tensor]) -> Targets:
    """The same goal with each of its targets changed."""
    if isinstance(goal, WeightedTargets):
        return WeightedTargets(cast("torch.Tensor | MixedTargets", mapped(goal.target, change)), goal.weights)
    if isinstance(goal, MixedTargets):
        return MixedTargets(change(goal.first), change(goal.second), goal.share)
    return change(goal)


def loss(objective: Objective, output: torch.Tensor, target: Targets) -> torch.Tensor:
    """The objective's loss; of two targets, each by its share (https://arxiv.org/abs/1710.09412)."""
    if isinstance(target, WeightedTargets):
        return _weighted(objective, output, target)
    if isinstance(target, MixedTargets):
        first, second = objective.loss(output, target.first), objective.loss(output, target.second)
        return target.share * first + (1 - target.share) * second
    return objective.loss(output, target)


def _weighted(objective: Objective, output: torch.Tensor, goal: WeightedTargets) -> torch.Tensor:
    """The mean over rows of what each costs, times its weight. Weights are 1 in the mean over all training rows."""
    import torch

    if isinstance(goal.target, MixedTargets):
        first, second = (WeightedTargets(one, goal.weights) for one in (goal.target.first, goal.target.second))
        share = goal.target.share
        return share * _weighted(objective, output, first) + (1 - share) * _weighted(objective, output, second)

    def row(answer: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cost = objective.loss(answer[None], target[None])
        return cost, cost.new_ones(()) * objective.mass(target[None])

    if objective.batched:
        costs, masses = torch.func.vmap(row)(output, goal.target)
    else:  # what torch does for these cannot be batched
        costs, masses = map(torch.stack, zip(*map(row, output, goal.target), strict=True))
    return (goal.weights * masses * costs).sum() / masses.sum()


def mass(objective: Objective, target: Targets) -> torch.Tensor | float:
    """How much these rows count, as the objective says; of two targets, each by its share."""
    if isinstance(target, WeightedTargets):
        return mass(objective, target.target)
    if isinstance(target, MixedTargets):
        return target.share * objective.mass(target.first) + (1 - target.share) * objective.mass(target.second)
    return objective.mass(target)
