"""Concept activation vectors: a linear classifier at a layer, its held-out accuracy, and the gradients along it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.context import ExplanationContext
    from netloom.explain.core.explanation import Target

MAX_CLASS_ROWS = 200  # rows of a class whose gradients enter the TCAV score
MAX_ROWS_PER_SIDE = 100  # rows with the concept, and rows without it, for each classifier
MAX_FEATURES = 1_024  # feature maps are average-pooled until a node has at most this many features
HELD_OUT = 1 / 3
Direction = tuple[np.ndarray, float, float]


class ProgressCounter:
    """Count finished rows and report the fraction done; an exception from `progress` cancels the work."""

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
    """Collect the pooled activations of a node for rows as an array (N, features)."""
    import torch

    activations = []
    with torch.no_grad():
        for inputs in _batches(context, rows, progress):
            context.forward(inputs)
            activations.append(_pool(hooked.activation, hooked.channel_axis))
    return np.concatenate(activations)


def collect_gradients(
    context: ExplanationContext, hooked: Any, target: Target, rows: np.ndarray, progress: ProgressCounter
) -> np.ndarray:
    """Collect the gradients of the target score with respect to the pooled activations, (N, features).

    A pooled feature is the mean of its cell, so its gradient is the sum of the gradients in the cell.
    """
    import torch

    from netloom.explain.core.targets import select

    # A detached leaf in the forward pass stops the backward pass at this node.
    def leaf(module: Any, inputs: Any, out: torch.Tensor) -> torch.Tensor:
        return out.detach().requires_grad_()

    hook, gradients = hooked.identity.register_forward_hook(leaf), []
    try:
        for inputs in _batches(context, rows, progress):
            score = select(target, context.forward(inputs), context.data, inputs).sum()
            (gradient,) = torch.autograd.grad(score, hooked.activation, allow_unused=True)
            value = torch.zeros_like(hooked.activation) if gradient is None else gradient
            pooled = _pool(value, hooked.channel_axis)
            gradients.append(pooled * (value[0].numel() / pooled.shape[1]))
    finally:
        hook.remove()
    return np.concatenate(gradients)


def _pool(value: torch.Tensor, channel_axis: int) -> np.ndarray:
    """Reduce activations (N, …) to features (N, F).

    Sequences, (N, T, D) or (N, D, T), are averaged over T, because a concept can occur at any step. Feature maps
    (N, C, H, W) are average-pooled to a grid of at most 4 × 4 cells and `MAX_FEATURES` features.
    """
    from torch.nn import functional

    value = value.detach()
    if value.dim() == 3:
        return np.asarray(value.mean(3 - channel_axis).double().numpy())
    if value.dim() == 4:
        side = int(max(1, min((MAX_FEATURES / value.shape[1]) ** 0.5, 4)))
        while side > 1 and (value.shape[2] % side or value.shape[3] % side):
            side -= 1
        value = functional.adaptive_avg_pool2d(value, side)
    return np.asarray(value.flatten(1).double().numpy())


def score_deviation(
    context: ExplanationContext, target: Target, sides: tuple[np.ndarray, np.ndarray], progress: ProgressCounter
) -> float:
    """Compute the standard deviation of the target score over rows with and without the concept."""
    import torch

    from netloom.explain.core.targets import select

    scores = []
    with torch.no_grad():
        # Every k-th row is enough for a standard deviation.
        for inputs in _batches(context, np.concatenate(sides)[:: max(1, len(sides[1]) // MAX_CLASS_ROWS)], progress):
            scores.append(select(target, context.forward(inputs), context.data, inputs))
    return float(torch.cat(scores).double().std()) or 1.0


def random_halves(rows: np.ndarray, max_rows: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw two disjoint random sets of at most `max_rows` rows."""
    size = min(max_rows, len(rows) // 2)
    order = random.permutation(len(rows))
    return rows[order[:size]], rows[order[size : 2 * size]]


def concept_direction(positive: np.ndarray, negative: np.ndarray, random: np.random.Generator) -> Direction:
    """Fit a logistic regression that separates activations with a concept from those without it.

    `positive` and `negative` are activations (N, F). The result is the unit vector (F,) from the negative to the
    positive side, the accuracy on held-out rows (0 to 1), and the distance between the held-out means along the vector.
    """
    from sklearn.linear_model import LogisticRegression

    from netloom.explain.core.library_warnings import mute_convergence

    # Balanced classes, so that the accuracy by chance is 50%.
    size = min(len(positive), len(negative), MAX_ROWS_PER_SIDE)
    held_out = max(2, round(size * HELD_OUT))
    sets = [side[random.permutation(len(side))[:size]] for side in (positive, negative)]
    values = np.concatenate([side[held_out:] for side in sets])
    labels = np.repeat([1, 0], size - held_out)
    mute_convergence()  # an unconverged classifier is fine: its held-out accuracy decides whether it is used
    model = LogisticRegression(max_iter=200).fit(values, labels)
    is_correct = [model.predict(side[:held_out]) == label for side, label in zip(sets, (1, 0), strict=True)]
    direction = model.coef_[0]
    length = float(np.linalg.norm(direction))
    direction = direction / length if length else direction
    gap = float((sets[0][:held_out].mean(0) - sets[1][:held_out].mean(0)) @ direction)
    return direction, float(np.mean(is_correct)), gap


def welch_p_value(concept_scores: Sequence[float], random_scores: Sequence[float]) -> float:
    """Compute the two-sided p-value of Welch's t-test for equal means.

    The result is 0 or 1 if neither set varies, because the t statistic is then undefined.
    """
    from scipy.stats import ttest_ind_from_stats

    sets = [np.asarray(concept_scores), np.asarray(random_scores)]
    if sum(values.var(ddof=1) / len(values) for values in sets) < 1e-12:
        return 1.0 if abs(sets[0].mean() - sets[1].mean()) < 1e-6 else 0.0
    # `ttest_ind` warns if the values of one set are nearly constant; the variant from moments does not.
    moments = [moment for values in sets for moment in (values.mean(), values.std(ddof=1), len(values))]
    return float(ttest_ind_from_stats(*moments, equal_var=False).pvalue)
