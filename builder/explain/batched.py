"""Integrated Gradients of many rows at once, each refined until its parts add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from builder.explain.explainers.integrated_gradients import FIRST_STEPS, TINY, TOLERANCE

if TYPE_CHECKING:
    from builder.explain.subject import Subject

MOST_STEPS = 256
# What few rows leave free: more at once, at 64 pictures, would take over four times the memory of one pass of them.
AT_ONCE = 64


def integrated(subject: Subject, most_steps: int = MOST_STEPS) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Attributions (N, …) by field of a subject that holds N rows, at most `subject.rows`, and how far off the sum of
    the parts of each row is, (N,), relative to F(x) − F(baseline); 0 where there is nothing to share out.

    Only the rows whose parts do not add up yet are gone over again, with twice the steps.
    """
    whole, count = subject.inputs, len(next(iter(subject.inputs.values())))
    found = {name: np.zeros((count, *spec.shape)) for name, spec in subject.specs.items()}
    errors, left, steps = np.zeros(count), torch.arange(count), min(FIRST_STEPS, most_steps)
    while len(left):
        subject.turn({name: value[left] for name, value in whole.items()}, subject.target)
        parts, error, within = _refined(subject, steps)
        for name, values in parts.items():
            found[name][left.numpy()] = values
        errors[left.numpy()] = error
        if steps >= most_steps:
            break
        left, steps = left[~within], min(2 * steps, most_steps)
    return found, errors


def _refined(subject: Subject, steps: int) -> tuple[dict[str, np.ndarray], np.ndarray, torch.Tensor]:
    """The attributions with so many steps, how far each row is off, and whether that is near enough."""
    points = subject.points
    values = tuple(point.value for point in points)
    grounds = tuple(point.baseline.expand_as(point.value) for point in points)
    answer, ground = (subject.scores_of(some).double() for some in (values, grounds))
    gap = answer - ground
    found = _summed(subject, values, grounds, steps)
    delta = (torch.stack([value.flatten(1).sum(1) for value in found]).sum(0) - gap).abs()
    floor = TINY * torch.maximum(answer.abs(), ground.abs()).clamp(min=1.0)
    error = torch.where(torch.maximum(gap.abs(), delta) <= floor, 0.0, delta / gap.abs().clamp(min=1e-12))
    return _folded(subject, found), error.numpy(), delta <= torch.maximum(TOLERANCE * gap.abs(), floor)


def _summed(
    subject: Subject, values: tuple[torch.Tensor, ...], grounds: tuple[torch.Tensor, ...], steps: int
) -> tuple[torch.Tensor, ...]:
    """(x − b) times the mean gradient on the straight way, by Gauss and Legendre, in double precision.

    Of few rows, several places on the way go through the network at once.
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    places, shares = torch.from_numpy((nodes + 1) / 2).float(), torch.from_numpy(weights / 2)
    count = len(values[0])
    at_once = max(1, min(subject.rows, AT_ONCE) // count)
    subject.expect(steps * count)
    summed = [torch.zeros_like(value, dtype=torch.float64) for value in values]
    whole = subject.inputs
    for place, share in zip(torch.split(places, at_once), torch.split(shares, at_once), strict=True):
        several = len(place)
        subject.inputs = {name: value.repeat(several, *[1] * (value.ndim - 1)) for name, value in whole.items()}
        on_the_way = tuple(
            (ground + _spread(place, value) * (value - ground)).flatten(0, 1).requires_grad_()
            for value, ground in zip(values, grounds, strict=True)
        )
        score = subject.point_score(*on_the_way).sum()
        for total, gradient in zip(summed, torch.autograd.grad(score, on_the_way), strict=True):
            by_place = gradient.double().reshape(several, count, *gradient.shape[1:])
            total += (_spread(share, total) * by_place).sum(0)
    subject.inputs = whole
    return tuple(
        total * (value - ground).double() for total, value, ground in zip(summed, values, grounds, strict=True)
    )


def _spread(numbers: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Numbers (S,) as (S, 1, …), to go with rows (N, …)."""
    return numbers.reshape(-1, *[1] * like.ndim)


def _folded(subject: Subject, found: tuple[torch.Tensor, ...]) -> dict[str, np.ndarray]:
    """As `Subject.fold`, row by row: vectors of tokens are summed up."""
    count = len(found[0])
    folded = {name: np.zeros((count, *spec.shape)) for name, spec in subject.specs.items()}
    for point, value in zip(subject.points, found, strict=True):
        folded[point.field] += (value if point.entry is None else value.flatten(2).sum(2)).numpy()
    return folded
