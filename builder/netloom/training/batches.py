"""Batches of rows for optimizer steps and for metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from netloom.training.batch_augmentation import BatchAugmentation
from netloom.training.streaming import Stream, evaluation_rows
from netloom.training.targets import Targets, WeightedTargets

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.document import Training
    from netloom.training.objectives import Objective

# Rows of the training split on which its metrics are computed after each epoch.
TRAIN_SAMPLE = 1_000
# Replaces the epoch in the seed of views that are drawn for metrics; higher than the epoch of any run.
EVALUATION_EPOCH = 1_000_000

Rows: TypeAlias = "tuple[list[torch.Tensor], torch.Tensor]"  # inputs (N, …) in the order of the fields, targets (N, …)


class BatchLoader:
    """Loads training batches and the rows for metrics to the device.

    Data that fits into memory is put on the device once. An epoch gathers its rows by one permutation, and batches are
    slices of the result, which copy nothing. For digits of 8 × 8 pixels, a batch of 64 takes 4 µs; a DataLoader, which
    collates row by row, takes 170 µs. The step of a small network takes 400 µs. Larger data is streamed from files, and
    only the first rows stay in memory, for metrics.

    Args:
        objective: Defines the targets, and can draw augmented views of a batch.
        fields: Fields of the data, in the order of the model's arguments.
        sample_weights: Whether to use the sample weights of the data, if it has any.

    Raises:
        DataError: no input field supports an augmentation.
    """

    def __init__(
        self,
        objective: Objective,
        data: Prepared,
        fields: list[str],
        training: Training,
        device: str,
        *,
        sample_weights: bool = True,
    ) -> None:
        self.objective, self.data, self.fields, self.device = objective, data, fields, device
        self._seed = training.seed
        self._target = objective.loss_targets(data)
        rows = data.split["train"]  # (R,)
        step_rows = training.batch_size * training.gradient_accumulation_steps
        # Streamed data keeps only what `evaluation_rows` and `first_batch` need.
        self.train = self._load(rows[: max(TRAIN_SAMPLE, step_rows)] if data.files else rows)
        self.validation = self._load(evaluation_rows(data, "validation"))
        self.augmentation: BatchAugmentation | None = None
        if training.augment:
            self.augmentation = BatchAugmentation(training, data, fields, self._target)
        if objective.task.augments_batch:
            objective.join(fields, self.augmentation)
        self.weights: torch.Tensor | None = None
        weighted = sample_weights and objective.task.supports_sample_weights
        if data.weights is not None and weighted:
            self.weights = data.weights[rows[: len(self.train[1])]].to(device)
        self._stream: Stream | None = None
        if data.files:
            weights = data.weights if self.weights is not None else None
            self._stream = Stream(data, fields, rows, self._target, weights, device)
        self.rows = len(rows)
        self.batch_size = min(step_rows, self.rows)
        self.steps_per_epoch = len(batch_bounds(self.rows, self.batch_size))

    @property
    def description(self) -> str:
        """A sentence on how the data is streamed; "" if it is in memory."""
        return self._stream.sentence(len(self.validation[1])) if self._stream is not None else ""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[list[torch.Tensor], Targets, int]]:
        """Yield the batches of an epoch from row `start` on: inputs, targets, and the index after the last row."""
        inputs, targets = self._shuffle(epoch)
        for first, end in batch_bounds(self.rows, self.batch_size):
            if first < start:  # done before the resume; `start` is always the end of a batch
                continue
            if self._stream is not None:
                batch = self._stream.batch(first, end)
            else:
                batch = [value[first:end] for value in inputs], targets[first:end]
            yield *self.augment(*batch, epoch, first), end

    def first_batch(self, rows: int, epoch: int = 0) -> tuple[list[torch.Tensor], Targets]:
        """Return the first training rows as a batch, for trial steps."""
        inputs, target = self.train
        return self.augment([value[:rows] for value in inputs], target[:rows], epoch, 0)

    def augment(
        self, inputs: list[torch.Tensor], targets: torch.Tensor | WeightedTargets, epoch: int, row: int
    ) -> tuple[list[torch.Tensor], Targets]:
        """Apply the random augmentation of the objective and of the document to the batch that starts at `row`.

        Random numbers depend only on the seed, the epoch and the row, so a resumed run draws the same ones.
        """
        if self.objective.task.augments_batch:
            return self.objective.batch(inputs, targets, (self._seed, epoch, row))
        return (inputs, targets) if self.augmentation is None else self.augmentation(inputs, targets, epoch, row)

    def evaluation_rows(self, split: str) -> Rows:
        """Return the rows for metrics: all of "validation", or the first 1,000 of "train"."""
        inputs, target = self.validation if split == "validation" else self.train
        rows = len(target) if split == "validation" else min(TRAIN_SAMPLE, len(target))
        if not self.objective.task.paired_views:
            return [value[:rows] for value in inputs], target[:rows]
        # Losses that compare each row with all others grow with the number of rows, so both splits have the same limit.
        # The views are the same after each epoch, so that epochs can be compared.
        rows = min(rows, len(self.validation[1]) or rows)
        return self.objective.prepare_batch(
            [value[:rows] for value in inputs], target[:rows], (self._seed, EVALUATION_EPOCH, 0)
        )

    def _shuffle(self, epoch: int) -> tuple[list[torch.Tensor], torch.Tensor | WeightedTargets]:
        """Return the training rows in the order of an epoch, which depends only on the seed."""
        import torch

        seed = self._seed * 1_000_003 + epoch  # epochs of runs with other seeds have other orders
        if self._stream is not None:
            self._stream.start_epoch(seed)
            return [], self.train[1]
        # Drawn on the CPU: a generator of the GPU would give another order for the same seed.
        order = torch.randperm(self.rows, generator=torch.Generator().manual_seed(seed)).to(self.device)
        inputs, target = [value[order] for value in self.train[0]], self.train[1][order]
        return inputs, target if self.weights is None else WeightedTargets(target, self.weights[order])

    def _load(self, rows: torch.Tensor) -> Rows:
        if self.data.files:
            return Stream(self.data, self.fields, rows, self._target, None, self.device).take(rows.numpy())
        inputs = [self.data.inputs[name][rows].to(self.device) for name in self.fields]
        return inputs, self._target[rows].to(self.device)


def batch_bounds(rows: int, size: int) -> list[tuple[int, int]]:
    """Return the bounds of each batch, as index of the first row and index after the last.

    A single remaining row joins the last batch, as batch normalization needs two.
    """
    bounds = [(start, min(start + size, rows)) for start in range(0, rows, size)]
    if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
        start, _ = bounds[-2]
        bounds[-2:] = [(start, rows)]
    return bounds
