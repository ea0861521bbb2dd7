"""Metrics of a network on rows, computed in batches, and their confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from netloom.training.latent_sampling import sampled_latents
from netloom.training.objectives import EVALUATION_BATCH, Objective
from netloom.training.objectives.objective import joined
from netloom.training.uncertainty import blocks_of, metric_intervals

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.data import Prepared
    from netloom.training.objectives import Evaluation, Settings

# The metrics of larger outputs take too long to be computed twenty times.
MAX_NUMBERS = 50_000_000
Totals: TypeAlias = tuple[dict[str, float], float]


def compute_metrics(
    model: nn.Module, objective: Objective, inputs: list[torch.Tensor], target: torch.Tensor
) -> dict[str, float]:
    """Return the metrics of `model` in evaluation mode."""
    return objective.finish(
        mean_metrics([metric_sums(model, objective, inputs, target, range(0, len(target), EVALUATION_BATCH))])
    )


def metric_sums(
    model: nn.Module,
    objective: Objective,
    inputs: list[torch.Tensor],
    target: torch.Tensor,
    starts: range,
    size: int = EVALUATION_BATCH,
) -> Totals:
    """Return the sums of the metrics over the batches that begin at `starts`, and their divisor."""
    import torch

    was_training = model.training
    model.eval()
    sums: dict[str, torch.Tensor] = {}
    count = 0
    sampling = sampled_latents(model) if objective.samples_latents else nullcontext()
    with torch.no_grad(), sampling as latents:
        for start in starts:
            part = slice(start, start + size)
            if latents is not None:
                latents.seed(start)
            # Outside autocast, so metrics are float32 in any precision. Sums stay on the device until the last batch.
            scores = objective.scores(joined(model(*[value[part] for value in inputs])), target[part])
            for name, value in scores.sums.items():
                sums[name] = sums[name] + value if name in sums else value
            count += scores.count
        sums |= latents.sums() if latents is not None else {}
    model.train(was_training)
    return {name: float(value) for name, value in sums.items()}, count


def mean_metrics(parts: Sequence[Totals]) -> dict[str, float]:
    """Return the means over several parts of the rows, such as those of the ranks."""
    # `fsum` is exact, so the result does not depend on the order of the parts.
    count = sum(count for _, count in parts)
    names = dict.fromkeys(name for sums, _ in parts for name in sums)
    if not count:  # the first rows of a split can be without any, such as the liked items of sorted ratings
        return dict.fromkeys(names, math.nan)
    return {name: math.fsum(sums.get(name, 0.0) for sums, _ in parts) / count for name in names}


def with_uncertainty(
    objective: Objective,
    evaluation: Evaluation,
    output: torch.Tensor,
    data: Prepared,
    rows: torch.Tensor,
    chosen: Settings,
) -> Evaluation:
    """Return an evaluation with the baseline predictor on the same rows, and with intervals.

    `output` (N, …) are the outputs of the network for `rows`, from which the evaluation was computed.
    """
    small = output.numel() <= MAX_NUMBERS
    reference = objective.reference(data, rows, evaluation.split) if small else None
    blocks = blocks_of(data, rows.numpy()) if small else []
    independent = 0 if data.raw.has_dependent_rows else len(rows)
    proportions = {name: independent for name in evaluation.metrics if independent and objective.is_proportion(name)}
    measure = objective.metrics_of_parts(output, data, rows, evaluation.split, chosen)
    intervals = metric_intervals(measure, evaluation.metrics, blocks, proportions)
    return replace(
        evaluation,
        reference=reference or evaluation.reference,
        intervals={**evaluation.intervals, **intervals},
        proportions=list(proportions),
    )
