"""Directions in what a node gives: found between two sets of rows, tested on rows held out, and followed to a score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.context import Subject
    from netloom.explain.core.explanation import Target

MOST_CLASS = 200  # rows of a class whose answers are followed
PER_DIRECTION = 100  # rows of each side
MOST_NUMBERS = 1_024  # of a node that a direction is sought among; maps are averaged over cells down to this
HELD_OUT = 1 / 3
Direction = tuple[np.ndarray, float, float]


class Told:
    """How much of the work is done; what `progress` raises ends it."""

    def __init__(self, progress: Callable[[float], None] | None, whole: int) -> None:
        self.progress, self.whole, self.done = progress, max(1, whole), 0

    def __call__(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(min(1.0, self.done / self.whole))


def _batches(subject: Subject, rows: np.ndarray, told: Told) -> Any:
    from netloom.training.streaming import take

    for start in range(0, len(rows), subject.rows):
        some = rows[start : start + subject.rows]
        yield take(subject.data, list(subject.specs), some)
        told(len(some))


def activations(subject: Subject, tapped: Any, rows: np.ndarray, told: Told) -> np.ndarray:
    """What a node gives for rows, (N, numbers)."""
    import torch

    found = []
    with torch.no_grad():
        for inputs in _batches(subject, rows, told):
            subject.forward(inputs)
            found.append(_pooled(tapped.seen))
    return np.concatenate(found)


def gradients_by(subject: Subject, tapped: Any, target: Target, rows: np.ndarray, told: Told) -> np.ndarray:
    """How the target's score rises with what a node gives, (N, numbers): that of each cell is the sum over it."""
    import torch

    from netloom.explain.core.targets import select

    def leaf(module: Any, given: Any, out: torch.Tensor) -> torch.Tensor:
        return out.detach().requires_grad_()

    hook, found = tapped.place.register_forward_hook(leaf), []
    try:
        for inputs in _batches(subject, rows, told):
            score = select(target, subject.forward(inputs), subject.data, inputs).sum()
            (gradient,) = torch.autograd.grad(score, tapped.seen, allow_unused=True)
            value = torch.zeros_like(tapped.seen) if gradient is None else gradient
            pooled = _pooled(value)
            found.append(pooled * (value[0].numel() / pooled.shape[1]))
    finally:
        hook.remove()
    return np.concatenate(found)


def _pooled(value: torch.Tensor) -> np.ndarray:
    """Values (N, …) as (N, numbers): steps are averaged, as a concept may stand at any; so are the places of a picture,
    within cells of a grid that is as fine as there is room for."""
    from torch.nn import functional

    value = value.detach()
    if value.dim() == 3:
        return np.asarray(value.mean(1).double().numpy())
    if value.dim() == 4:
        side = int(max(1, min((MOST_NUMBERS / value.shape[1]) ** 0.5, 4)))
        while side > 1 and (value.shape[2] % side or value.shape[3] % side):
            side -= 1
        value = functional.adaptive_avg_pool2d(value, side)
    return np.asarray(value.flatten(1).double().numpy())


def spread(subject: Subject, target: Target, sides: tuple[np.ndarray, np.ndarray], told: Told) -> float:
    """The standard deviation of the target's score over rows."""
    import torch

    from netloom.explain.core.targets import select

    found = []
    with torch.no_grad():
        for inputs in _batches(subject, np.concatenate(sides)[:: max(1, len(sides[1]) // MOST_CLASS)], told):
            found.append(select(target, subject.forward(inputs), subject.data, inputs))
    return float(torch.cat(found).double().std()) or 1.0


def halves(every: np.ndarray, most: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of random rows, none in both."""
    size = min(most, len(every) // 2)
    order = random.permutation(len(every))
    return every[order[:size]], every[order[size : 2 * size]]


def direction_of(
    having: np.ndarray, lacking: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, float, float]:
    """The direction (numbers,) of length 1 from rows of one set towards those of the other, how many of the rows that
    were held out it tells apart, and how far apart these lie along it."""
    from sklearn.linear_model import LogisticRegression

    from netloom.explain.core.library_warnings import mute_convergence

    size = min(len(having), len(lacking), PER_DIRECTION)
    held = max(2, round(size * HELD_OUT))
    sets = [side[random.permutation(len(side))[:size]] for side in (having, lacking)]
    values = np.concatenate([side[held:] for side in sets])
    labels = np.repeat([1, 0], size - held)
    mute_convergence()  # it is no fault here
    model = LogisticRegression(max_iter=200).fit(values, labels)
    right = [model.predict(side[:held]) == label for side, label in zip(sets, (1, 0), strict=True)]
    direction = model.coef_[0]
    length = float(np.linalg.norm(direction))
    direction = direction / length if length else direction
    gap = float((sets[0][:held].mean(0) - sets[1][:held].mean(0)) @ direction)
    return direction, float(np.mean(right)), gap


def chance_alone(own: Sequence[float], chance: Sequence[float]) -> float:
    """Welch's test, two-sided, whether both means are the same; where nothing varies, it is seen at once."""
    from scipy.stats import ttest_ind_from_stats

    sets = [np.asarray(own), np.asarray(chance)]
    if sum(values.var(ddof=1) / len(values) for values in sets) < 1e-12:
        return 1.0 if abs(sets[0].mean() - sets[1].mean()) < 1e-6 else 0.0
    # From moments, since `ttest_ind` itself warns where the values of one set are nearly the same.
    moments = [moment for values in sets for moment in (values.mean(), values.std(ddof=1), len(values))]
    return float(ttest_ind_from_stats(*moments, equal_var=False).pvalue)
