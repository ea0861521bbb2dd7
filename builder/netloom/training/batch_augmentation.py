"""Batches of training rows, changed at random as the document says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from netloom.data.augmentation import Augmenter
from netloom.training.targets import MixedTargets, Targets, WeightedTargets

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.document import Training


class BatchAugmentation:
    """The augmentations of a document, for one batch after the other.

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
            inputs, changed = self(inputs, cast("torch.Tensor", target.target), epoch, row)
            return inputs, WeightedTargets(cast("torch.Tensor | MixedTargets", changed), target.weights)
        inputs, target, mixed = self._augmenter(inputs, target, (self._seed, epoch, row))
        return inputs, target if mixed is None else MixedTargets(target, target[mixed.partner], mixed.share)
