"""Batches of training rows, changed at random as the document says, and the loss where two rows are mixed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from builder.data.augment import Augmenter

if TYPE_CHECKING:
    import torch

    from builder.data import Prepared
    from builder.graph import Training
    from builder.train.objectives import Objective


class Both:
    """Two targets for each row, the first of which counts `share`. It is cut like a tensor."""

    def __init__(self, first: torch.Tensor, second: torch.Tensor, share: float) -> None:
        self.first, self.second, self.share = first, second, share

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: slice) -> Both:
        return Both(self.first[rows], self.second[rows], self.share)


class Augmented:
    """What a loop asks for each batch, where a document declares augmentations.

    Raises:
        DataError: one of them is not well declared, or fits no field that the network reads.
    """

    def __init__(self, training: Training, data: Prepared, fields: Sequence[str], target: torch.Tensor) -> None:
        self._augmenter = Augmenter(training.augment, data, fields, target)
        self._seed = training.seed

    def __call__(
        self, inputs: list[torch.Tensor], target: torch.Tensor, epoch: int, row: int
    ) -> tuple[list[torch.Tensor], torch.Tensor | Both]:
        """The batch that begins at `row` of an epoch's order. The same batch is changed in the same way."""
        inputs, target, mixed = self._augmenter(inputs, target, (self._seed, epoch, row))
        return inputs, target if mixed is None else Both(target, target[mixed.partner], mixed.share)


def loss(objective: Objective, output: torch.Tensor, target: torch.Tensor | Both) -> torch.Tensor:
    """The objective's loss; of two targets, each by its share (https://arxiv.org/abs/1710.09412)."""
    if isinstance(target, Both):
        first, second = objective.loss(output, target.first), objective.loss(output, target.second)
        return target.share * first + (1 - target.share) * second
    return objective.loss(output, target)


def mass(objective: Objective, target: torch.Tensor | Both) -> torch.Tensor | float:
    """How much these rows count, as the objective says; of two targets, each by its share."""
    if isinstance(target, Both):
        return target.share * objective.mass(target.first) + (1 - target.share) * objective.mass(target.second)
    return objective.mass(target)
