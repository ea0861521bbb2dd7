"""Random augmentation of training batches, as configured in the document."""

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
    """Applies the augmentations of a document to batches.

    Raises:
        DataError: an augmentation is invalid, or no input field supports it.
    """

    def __init__(self, training: Training, data: Prepared, fields: Sequence[str], target: torch.Tensor) -> None:
        self._augmenter = Augmenter(training.augment, data, fields, target)
        self._seed = training.seed

    def view(self, inputs: list[torch.Tensor], target: torch.Tensor, seed: tuple[int, ...]) -> list[torch.Tensor]:
        """Return the augmented inputs of a batch; equal seeds give equal results."""
        return self._augmenter(inputs, target, seed)[0]

    def __call__(
        self, inputs: list[torch.Tensor], target: torch.Tensor | WeightedTargets, epoch: int, row: int
    ) -> tuple[list[torch.Tensor], Targets]:
        """Augment the batch that starts at `row` of the order of an epoch; equal arguments give equal results.

        With mixup or CutMix, the targets are `MixedTargets`.
        """
        if isinstance(target, WeightedTargets):
            inputs, changed = self(inputs, cast("torch.Tensor", target.target), epoch, row)
            return inputs, WeightedTargets(cast("torch.Tensor | MixedTargets", changed), target.weights)
        inputs, target, mixed = self._augmenter(inputs, target, (self._seed, epoch, row))
        return inputs, target if mixed is None else MixedTargets(target, target[mixed.partner], mixed.share)
