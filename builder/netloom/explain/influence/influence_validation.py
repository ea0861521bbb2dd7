"""Validate influences: train a copy on the listed rows and compare the change of the loss with random rows.

This test is not part of TracIn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain.core.explanation import Level

if TYPE_CHECKING:
    import torch

    from netloom.explain.influence.per_sample_gradients import PerSampleGradients

# Training steps on the listed rows, and random sets of rows for comparison.
STEPS, SETS = 3, 40
# The share of the loss that these steps may remove, to first order.
CHANGE = 0.1
SURE, LIKELY = 0.05, 0.25


@dataclass(frozen=True)
class InfluenceValidation:
    """The change of the example's loss after `steps` training steps on the listed rows, compared with random rows.

    `gain` is the decrease of the loss after training on the proponents, `harm` the increase after training on the
    opponents. `gain_chance` and `harm_chance` are the fractions of `sets` random sets of the same size with at least
    the same effect.
    """

    gain: float
    gain_chance: float
    harm: float
    harm_chance: float
    steps: int
    sets: int


def validate_influence(
    gradients: PerSampleGradients,
    values: list[torch.Tensor],
    target: torch.Tensor,
    rows: np.ndarray,
    sides: tuple[list[Any], list[Any]],
    rate: float,
    seed: int,
) -> InfluenceValidation | None:
    """Train on the listed rows and on random rows, each on a copy of the current weights.

    `values` are the inputs of the example (1, …), `target` is its target (1, …), `rows` are the row numbers (N,),
    `sides` are the indexes of proponents and opponents into `rows`, and `rate` is the largest learning rate. The result
    is None if there are too few rows to compare.
    """
    size = min(len(sides[0]), len(sides[1]))
    if size == 0 or len(rows) <= 2 * size:
        return None
    weights = {name: value.clone() for name, value in gradients.weights.items()}
    random = np.random.default_rng(seed)
    start_loss = float(gradients.losses(weights, values, target)[0].double())
    # The step is limited so that it follows the slope of the loss and does not overshoot the minimum.
    positions = rows[np.array(sides[0][:size], dtype=np.int64)]
    row_gradient, example_gradient = (
        gradients.gradient(gradients.inputs(positions), gradients.targets(positions)),
        gradients.gradient(values, target),
    )
    # The decrease of the loss by one step on these rows, to first order, per unit of the learning rate
    product = abs(sum(float((row_gradient[name] * example_gradient[name]).sum()) for name in row_gradient)) / size
    rate = min(rate, CHANGE * start_loss / (STEPS * product)) if product else rate

    sets = [sides[0][:size], sides[1][:size], *(random.choice(len(rows), size, replace=False) for _ in range(SETS))]
    changes = gradients.learned(rows[np.array(sets, dtype=np.int64)], rate, STEPS, values, target) - start_loss
    gain, harm, random_changes = -float(changes[0]), float(changes[1]), changes[2:]
    return InfluenceValidation(gain, _chance(-random_changes, gain), harm, _chance(random_changes, harm), STEPS, SETS)


def _chance(random_changes: np.ndarray, change: float) -> float:
    # The listed rows count as one of the sets, so that the chance is never 0.
    return float(((random_changes >= change).sum() + 1) / (len(random_changes) + 1))


def influence_verdict(validation: InfluenceValidation | None, loss: float, stages: int) -> tuple[Level, str]:
    """Return the level and the sentence that say how reliable the listed rows are."""
    source = f"{stages} checkpoints" if stages > 1 else "1 checkpoint"
    if validation is None:
        return "caution", f"Based on {source}. There are too few rows for a comparison with random rows."
    sets = f"{validation.sets} random sets of rows"
    decreases = _sets_beaten(validation.gain_chance, validation.sets)
    increases = _sets_beaten(validation.harm_chance, validation.sets)
    text = (
        f"Based on {source}. Validated by {validation.steps} training steps: the proponents change the loss of "
        f"{loss:.3g} by {-validation.gain:+.2g}, a larger decrease than {decreases} of {sets}; the opponents "
        f"change it by {validation.harm:+.2g}, a larger increase than {increases} of them."
    )
    worst = max(validation.gain_chance, validation.harm_chance)
    if worst > LIKELY or validation.gain <= 0 or validation.harm <= 0:
        return "poor", text
    if worst > SURE:
        return "caution", text
    if stages == 1:
        return "caution", f"{text} One checkpoint does not cover early training."
    return "good", text


def _sets_beaten(chance: float, sets: int) -> int:
    return sets - round(chance * (sets + 1) - 1)
