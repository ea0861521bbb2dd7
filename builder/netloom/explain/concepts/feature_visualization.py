"""Feature visualization: inputs that maximize a unit or a class, beside the training rows with the highest values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from netloom.explain.concepts.activation_maximization import ActivationMaximization
from netloom.explain.concepts.unit import Unit
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explanation import Verdict
from netloom.explain.core.network.cost import measure_network
from netloom.explain.evidence.model_check import model_check
from netloom.explain.evidence.verdict import with_model

if TYPE_CHECKING:
    from netloom.explain.core.request import Progress, Trained

STEPS, SEEDS = 160, 3
MAX_LISTED_ROWS = 4
# Beyond this multiple of the highest training row (measured from the mean), an input counts as unrealistic.
UNREALISTIC_FACTOR = 1.5


@dataclass(frozen=True)
class VisualizedUnit:
    """Inputs that maximize one unit of the node at `path`, or of the output if `path` is empty.

    The value of a unit of a feature map or a sequence is its mean over all positions. `optimized_inputs` holds the
    optimized inputs by field in the units of the data, (seeds, …), or for a table a list of values by column;
    `optimized_values` holds the values of the unit for them. Of the `rows` training rows, `train_max` is the maximum
    value, `train_mean` and `train_std` describe all, and `top_rows` are the rows with the highest values `top_values`.
    `regularization` describes how the inputs were regularized.
    """

    path: str
    title: str
    unit: int
    units: int
    name: str
    optimized_inputs: dict[str, Any]
    optimized_values: tuple[float, ...]
    train_max: float
    train_mean: float
    train_std: float
    rows: int
    top_rows: tuple[int, ...]
    top_values: tuple[float, ...]
    regularization: str
    verdict: Verdict
    weights: str = ""
    checkpoint: str = ""
    seconds: float = 0.0


def unavailable_reason(trained: Trained) -> str:
    """Return why feature visualization is unavailable for a network, as a sentence; empty if it is available."""
    from netloom.explain.core.requirements import not_inspectable
    from netloom.explain.robustness.continuous_inputs import unchangeable_reason

    return not_inspectable(trained.model) or unchangeable_reason(trained.project, trained.data)


def visualize_unit(
    trained: Trained,
    path: str = "",
    unit: int = 0,
    *,
    seeds: int = SEEDS,
    steps: int = STEPS,
    seed: int = 0,
    folder: Path | None = None,
    checkpoint: str = "",
    progress: Progress | None = None,
) -> VisualizedUnit:
    """Optimize inputs that maximize one unit, one for each of `seeds` random starts.

    The result is cached in `folder`, the folder of the run. `progress` receives the fraction done; an exception from it
    cancels the work.

    Raises:
        ExplainError: The node or unit does not exist, or the inputs of this network cannot be optimized.
    """
    from netloom.explain.core import cache

    start = perf_counter()
    if reason := unavailable_reason(trained):
        raise ExplainError(f"Inputs of this network cannot be optimized: {reason}")
    visualized = Unit(trained, path, unit)
    weights = cache.weights_hash(trained.model)
    question = {"visualised": path, "unit": unit, "seeds": seeds, "steps": steps, "seed": seed}
    first = {name: trained.data.inputs[name][:1] for name in visualized.space.parts}
    name = cache.key(weights, first, {**question, "data": trained.data.fingerprint})
    cached = cache.load_as(VisualizedUnit, folder, name) if folder else None
    if cached is not None:
        return replace(cached, checkpoint=checkpoint)
    result = replace(_visualized(visualized, seeds, steps, seed, progress), weights=weights, checkpoint=checkpoint)
    check_model = model_check(
        trained.project, trained.model, trained.data, weights, measure_network(trained.project).totals.flops
    )
    result = replace(result, verdict=with_model(result.verdict, check_model), seconds=perf_counter() - start)
    if folder:
        cache.save(folder, name, result)
    return result


def _visualized(unit: Unit, seeds: int, steps: int, seed: int, progress: Progress | None) -> VisualizedUnit:
    """Optimize inputs from `seeds` starts, and sort them by the value of the unit."""
    import torch

    rows, row_scores = unit.training_scores(progress)
    best = row_scores.argsort(descending=True)[:MAX_LISTED_ROWS]
    # Without the correction, a single row gives 0 instead of NaN.
    deviation = float(row_scores.std(correction=0))
    maximization = ActivationMaximization(unit, deviation or 1.0)
    optimized = maximization.optimize(seeds, steps, seed, rows[best], progress)
    with torch.no_grad():
        scores = unit.score(optimized)
    order = scores.argsort(descending=True)
    scores = scores[order]
    highest, best_score = float(row_scores[best[0]]), float(scores[0])
    displays = [
        unit.space.shown({name: value[index : index + 1] for name, value in optimized.items()}) for index in order
    ]
    return VisualizedUnit(
        path=unit.path,
        title=unit.title,
        unit=unit.number,
        units=unit.count,
        name=unit.name(),
        optimized_inputs={name: _stack([display[name] for display in displays]) for name in unit.space.parts},
        optimized_values=tuple(scores.tolist()),
        train_max=highest,
        train_mean=float(row_scores.mean()),
        train_std=deviation,
        rows=len(rows),
        top_rows=tuple(rows[best].tolist()),
        top_values=tuple(row_scores[best].tolist()),
        regularization=maximization.describe(steps),
        verdict=_verdict(best_score, highest, float(row_scores.mean())),
    )


def _stack(values: list[Any]) -> Any:
    import numpy as np

    return values if isinstance(values[0], dict) else np.stack(values)


def _verdict(reached: float, highest: float, mean: float) -> Verdict:
    """Judge how realistic the optimized input is, by its distance from the mean row relative to the highest training
    row.

    Distances from the mean are used rather than ratios of values, because values can be negative.
    """
    if reached < highest:
        return Verdict(
            "caution",
            "A training row reaches a higher value than the optimized input, so the rows show better what the unit "
            "responds to.",
        )
    if reached - mean > UNREALISTIC_FACTOR * (highest - mean):
        return Verdict(
            "caution",
            "The optimized input goes far beyond every training row: it shows a direction to which the unit responds, "
            "not a realistic input. Compare it with the rows.",
        )
    return Verdict("good", "The optimized input reaches about the same value as the highest training rows.")
