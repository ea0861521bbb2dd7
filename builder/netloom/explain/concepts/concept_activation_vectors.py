"""Directions in what a node gives: found between two sets of rows, tested on rows held out, and followed to a score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.context import ExplanationContext
    from netloom.explain.core.explanation import Target

MAX_CLASS_ROWS = 200  # rows of a class whose answers are followed
MAX_ROWS_PER_SIDE = 100  # rows of each side
MAX_FEATURES = 1_024  # of a node that a direction is sought among; maps are averaged over cells down to this
HELD_OUT = 1 / 3
Direction = tuple[np.ndarray, float, float]


class ProgressCounter:
    """How much of the work is done; what `progress` raises ends it."""

    def __init__(self, progress: Callable[[float], None] | None, total: int) -> None:
        self.progress, self.whole, self.done = progress, max(1, total), 0

    def __call__(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(min(1.0, self.done / self.whole))


def _batches(context: ExplanationContext, rows: np.ndarray, progress: ProgressCounter) -> Any:
    from netloom.training.streaming import take

    for start in range(0, len(rows), context.rows):
        batch = rows[start : start + context.rows]
        yield take(context.data, list(context.specs), batch)
        progress(len(batch))


def collect_activations(
    context: ExplanationContext, hooked: Any, rows: np.ndarray, progress: ProgressCounter
) -> np.ndarray:
    """What a node gives for rows, (N, numbers)."""
    import torch

    activations = []
    with torch.no_grad():
        for inputs in _batches(context, rows, progress):
            context.forward(inputs)
            activations.append(_pool(hooked.activation))
    return np.concatenate(activations)


def collect_gradients(
    context: ExplanationContext, hooked: Any, target: Target, rows: np.ndarray, progress: ProgressCounter
) -> np.ndarray:
    """How the target's score rises with what a node gives, (N, numbers): that of each cell is the sum over it."""
    import torch

    from netloom.explain.core.targets import select

    def leaf(module: Any, inputs: Any, out: torch.Tensor) -> torch.Tensor:
        return out.detach().requires_grad_()

    hook, gradients = hooked.identity.register_forward_hook(leaf), []
    try:
        for inputs in _batches(context, rows, progress):
            score = select(target, context.forward(inputs), context.data, inputs).sum()
            (gradient,) = torch.autograd.grad(score, hooked.activation, allow_unused=True)
            value = torch.zeros_like(hooked.activation) if gradient is None else gradient
            pooled = _pool(value)
            gradients.append(pooled * (value[0].numel() / pooled.shape[1]))
    finally:
        hook.remove()
    return np.concatenate(gradients)


def _pool(value: torch.Tensor) -> np.ndarray:
    """Values (N, …) as (N, numbers): steps are averaged, as a concept may stand at any; so are the places of a picture,
    within cells of a grid that is as fine as there is room for."""
    from torch.nn import functional

    value = value.detach()
    if value.dim() == 3:
        return np.asarray(value.mean(1).double().numpy())
    if value.dim() == 4:
        side = int(max(1, min((MAX_FEATURES / value.shape[1]) ** 0.5, 4)))
        while side > 1 and (value.shape[2] % side or value.shape[3] % side):
            side -= 1
        value = functional.adaptive_avg_pool2d(value, side)
    return np.asarray(value.flatten(1).double().numpy())


def score_deviation(
    context: ExplanationContext, target: Target, sides: tuple[np.ndarray, np.ndarray], progress: ProgressCounter
) -> float:
    """The standard deviation of the target's score over rows."""
    import torch

    from netloom.explain.core.targets import select

    scores = []
    with torch.no_grad():
        for inputs in _batches(context, np.concatenate(sides)[:: max(1, len(sides[1]) // MAX_CLASS_ROWS)], progress):
            scores.append(select(target, context.forward(inputs), context.data, inputs))
    return float(torch.cat(scores).double().std()) or 1.0


def random_halves(rows: np.ndarray, max_rows: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of random rows, none in both."""
    size = min(max_rows, len(rows) // 2)
    order = random.permutation(len(rows))
    return rows[order[:size]], rows[order[size : 2 * size]]


def concept_direction(
    positive: np.ndarray, negative: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, float, float]:
    """The direction (numbers,) of length 1 from rows of one set towards those of the other, how many of the rows that
    were held out it tells apart, and how far apart these lie along it."""
    from sklearn.linear_model import LogisticRegression

    from netloom.explain.core.library_warnings import mute_convergence

    size = min(len(positive), len(negative), MAX_ROWS_PER_SIDE)
    held_out = max(2, round(size * HELD_OUT))
    sets = [side[random.permutation(len(side))[:size]] for side in (positive, negative)]
    values = np.concatenate([side[held_out:] for side in sets])
    labels = np.repeat([1, 0], size - held_out)
    mute_convergence()  # it is no fault here
    model = LogisticRegression(max_iter=200).fit(values, labels)
    is_correct = [model.predict(side[:held_out]) == label for side, label in zip(sets, (1, 0), strict=True)]
    direction = model.coef_[0]
    length = float(np.linalg.norm(direction))
    direction = direction / length if length else direction
    gap = float((sets[0][:held_out].mean(0) - sets[1][:held_out].mean(0)) @ direction)
    return direction, float(np.mean(is_correct)), gap


def welch_p_value(concept_scores: Sequence[float], random_scores: Sequence[float]) -> float:
    """Welch's test, two-sided, whether both means are the same; where nothing varies, it is seen at once."""
    from scipy.stats import ttest_ind_from_stats

    sets = [np.asarray(concept_scores), np.asarray(random_scores)]
    if sum(values.var(ddof=1) / len(values) for values in sets) < 1e-12:
        return 1.0 if abs(sets[0].mean() - sets[1].mean()) < 1e-6 else 0.0
    # From moments, since `ttest_ind` itself warns where the values of one set are nearly the same.
    moments = [moment for values in sets for moment in (values.mean(), values.std(ddof=1), len(values))]
    return float(ttest_ind_from_stats(*moments, equal_var=False).pvalue)
