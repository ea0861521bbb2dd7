"""Rows in batches: for steps, and for measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.train.objectives import EVALUATION_BATCH, Objective
from builder.train.objectives.base import joined

if TYPE_CHECKING:
    import torch
    from torch import nn


def batches(rows: int, size: int) -> list[tuple[int, int]]:
    """The bounds of each batch. A single row left over joins the batch before it, as batch normalisation needs two."""
    bounds = [(start, min(start + size, rows)) for start in range(0, rows, size)]
    if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
        start, _ = bounds[-2]
        bounds[-2:] = [(start, rows)]
    return bounds


def measure(
    model: nn.Module, objective: Objective, inputs: list[torch.Tensor], target: torch.Tensor
) -> dict[str, float]:
    """The objective's measures of `model` in evaluation mode."""
    import torch

    was_training = model.training
    model.eval()
    totals: dict[str, torch.Tensor] = {}
    count = 0
    with torch.no_grad():
        for start in range(0, len(target), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            scores = objective.scores(joined(model(*[value[part] for value in inputs])), target[part])
            for name, value in scores.sums.items():
                totals[name] = totals[name] + value if name in totals else value
            count += scores.count
    model.train(was_training)
    return objective.finish({name: float(value) / count for name, value in totals.items()})
