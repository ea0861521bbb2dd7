"""Metrics of a network on rows, computed in batches, and their confidence intervals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netloom.training.latent_sampling import sampled_latents
from netloom.training.objectives import EVALUATION_BATCH, Objective
from netloom.training.objectives.objective import joined
from netloom.training.uncertainty import blocks_of, metric_intervals

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from netloom.data import Prepared
    from netloom.training.objectives import Evaluation, Settings

# The metrics of larger outputs take too long to be computed twenty times.
MAX_NUMBERS = 50_000_000


@dataclass(frozen=True)
class Totals:
    """What the batches of some rows add up to: the sums of the metrics, their divisor, and values of rows (n, …)."""

    sums: dict[str, float]
    count: float
    values: dict[str, np.ndarray]


def compute_metrics(
    model: nn.Module, objective: Objective, inputs: list[torch.Tensor], target: torch.Tensor
) -> dict[str, float]:
    """Return the metrics of `model` in evaluation mode."""
    starts = range(0, len(target), EVALUATION_BATCH)
    return metrics_of_totals(objective, [batch_totals(model, objective, inputs, target, starts)])


def batch_totals(
    model: nn.Module,
    objective: Objective,
    inputs: list[torch.Tensor],
    target: torch.Tensor,
    starts: range,
    size: int = EVALUATION_BATCH,
) -> Totals:
    """Return the totals of the metrics over the batches that begin at `starts`."""
    import torch

    was_training = model.training
    model.eval()
    sums: dict[str, torch.Tensor] = {}
    values = defaultdict[str, list[torch.Tensor]](list)
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
            for name, value in scores.values.items():
                values[name].append(value)
            count += scores.count
        sums |= latents.sums() if latents is not None else {}
    model.train(was_training)
    return Totals(
        {name: float(value) for name, value in sums.items()},
        count,
        {name: torch.cat(parts).cpu().numpy() for name, parts in values.items()},
    )


def metrics_of_totals(objective: Objective, parts: Sequence[Totals]) -> dict[str, float]:
    """Return the metrics of several parts of the rows together, such as those of the ranks."""
    import numpy as np

    names = dict.fromkeys(name for part in parts for name in part.values)
    values = {name: np.concatenate([part.values[name] for part in parts if name in part.values]) for name in names}
    return {**objective.finish(_means(parts)), **(objective.metrics_of_values(values) if values else {})}


def _means(parts: Sequence[Totals]) -> dict[str, float]:
    # `fsum` is exact, so the result does not depend on the order of the parts.
    count = sum(part.count for part in parts)
    names = dict.fromkeys(name for part in parts for name in part.sums)
    if not count:  # the first rows of a split can be without any, such as the liked items of sorted ratings
        return dict.fromkeys(names, math.nan)
    return {name: math.fsum(part.sums.get(name, 0.0) for part in parts) / count for name in names}


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
