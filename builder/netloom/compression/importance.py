"""How much each channel matters: by the size of its weights, or by what the loss would lose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from netloom.compression.channel_graph import ChannelGraph
from netloom.compression.method import CompressionError
from netloom.training.loop import SupervisedTrainer
from netloom.training.trainers.registry import build_trainer

if TYPE_CHECKING:
    import torch

    from netloom.runs import TrainedRun

Criterion = Literal["l1", "taylor", "gradient"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
TITLES: dict[Criterion, str] = {
    "l1": "Size of their weights",
    "taylor": "Effect on the loss",
    "gradient": "Gradients of their weights",
}
# Batches of training rows whose gradients are averaged
BATCHES = 20
# Returns the importance of each channel, by its representative.
Importance = Callable[[ChannelGraph], dict[int, float]]


def importance(trained: TrainedRun, criterion: Criterion) -> Importance:
    """Return the importance by a criterion.

    "l1" is the sum of the absolute weights that make a channel, divided by the mean of the layer
    (https://arxiv.org/abs/1608.08710); "taylor" the absolute value of Σ weight·gradient, an estimate of the change of
    the loss without the channel, averaged over batches of training rows (https://arxiv.org/abs/1906.10771);
    "gradient" the sum of the absolute gradients of its weights, divided by the mean of the layer and averaged in the
    same way, so that small weights count if the loss is sensitive to them.

    Raises:
        CompressionError: the criterion needs gradients of a loss on rows, which this task does not have.
    """
    if criterion == "l1":
        weights = trained.model.state_dict()
        return lambda graph: _channel_sums(graph, weights, by_layer=True)
    is_gradient = criterion == "gradient"
    batches = _gradients(trained, with_weights=not is_gradient)
    return lambda graph: _mean([_channel_sums(graph, batch, by_layer=is_gradient) for batch in batches])


def _gradients(trained: TrainedRun, *, with_weights: bool) -> list[dict[str, torch.Tensor]]:
    """Return the gradients, or weight·gradient, for some batches of training rows."""
    trainer = build_trainer(trained.project, trained.source, trained.data)
    if not isinstance(trainer, SupervisedTrainer):
        raise CompressionError("This criterion needs a loss for each row, which this task does not have; use l1.")
    trainer.model.load_state_dict(trained.model.state_dict(), strict=False)
    trainer.model.requires_grad_(True)  # frozen layers become smaller, too
    trainer.model.eval()  # dropout off, and normalization by the statistics that predictions use
    batches = []
    for inputs, targets, _ in trainer.loader.epoch(0, start=0):
        trainer.model.zero_grad()  # also those of frozen layers, which the optimizer does not have
        trainer.compute_gradients(trainer.model, inputs, targets)
        batches.append(
            {
                name: (value.detach() * value.grad if with_weights else value.grad.clone()).cpu()
                for name, value in trainer.model.named_parameters(remove_duplicate=False)
                if value.grad is not None
            }
        )
        if len(batches) == BATCHES:
            break
    return batches


def _channel_sums(graph: ChannelGraph, tensors: Mapping[str, torch.Tensor], *, by_layer: bool) -> dict[int, float]:
    """Return the sum over the weights that make each channel: of absolute values, relative to the mean of the layer
    with `by_layer`; otherwise the absolute value of the sum."""
    sums: dict[int, float] = {}
    for item in graph.slices:
        tensor = tensors.get(item.tensor)
        if not item.makes or tensor is None or (by_layer and tensor.dim() < 2):
            continue
        rows = (tensor.abs() if by_layer else tensor).movedim(item.axis, 0).flatten(1 if tensor.dim() > 1 else 0)
        totals = (rows.sum(1) if tensor.dim() > 1 else rows).double().numpy()
        scale = float(totals.mean()) or 1.0 if by_layer else 1.0
        for root, total in zip(graph.roots(item.numbers).tolist(), totals.tolist(), strict=True):
            sums[root] = sums.get(root, 0.0) + total / scale
    return {root: abs(total) for root, total in sums.items()}


def _mean(parts: list[dict[int, float]]) -> dict[int, float]:
    return {root: float(np.mean([part.get(root, 0.0) for part in parts])) for part in parts for root in part}
