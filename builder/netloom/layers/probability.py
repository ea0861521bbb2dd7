"""Tracking of probabilities through layers: whether a tensor holds probabilities, their logarithms, or neither."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

# Probabilities that sum to 1 along an axis, or independent probabilities.
OutputActivation = Literal["softmax", "sigmoid"]
Shape = Sequence[int | None]


@dataclass(frozen=True)
class Probabilities:
    """A tensor of probabilities, or of their logarithms if `log` is set.

    `softmax`: they sum to 1 along `axis`, where the batch axis is 0. `sigmoid`: each is independent, and `axis` is 0.
    `removable` means that the same layers give logits if the activation is left out.
    """

    family: OutputActivation
    axis: int = 0
    log: bool = False
    removable: bool = True


def reshaped(probabilities: Probabilities | None, before: Shape, after: Shape) -> Probabilities | None:
    """The probabilities after a reshape; None if it merges or splits their axis."""
    if probabilities is None or probabilities.family == "sigmoid":
        return probabilities
    # The axis survives if an axis of the same length follows the same number of values per example.
    length, ahead = before[probabilities.axis], prod(size or 1 for size in before[1 : probabilities.axis])
    for axis in range(1, len(after)):
        if after[axis] == length and prod(size or 1 for size in after[1:axis]) == ahead:
            return replace(probabilities, axis=axis)
    return None


def permuted(probabilities: Probabilities | None, order: Sequence[int]) -> Probabilities | None:
    """The probabilities after a permutation; `order` omits the batch axis, which stays first."""
    if probabilities is None or probabilities.family == "sigmoid":
        return probabilities
    return replace(probabilities, axis=1 + list(order).index(probabilities.axis))


def without(probabilities: Probabilities | None, axis: int, *, keep: bool) -> Probabilities | None:
    """The probabilities at one index of `axis`, which is removed unless `keep`; None if they sum to 1 along it."""
    if probabilities is None or probabilities.family == "sigmoid":
        return probabilities
    if probabilities.axis == axis:
        return None
    return (
        replace(probabilities, axis=probabilities.axis - 1) if axis < probabilities.axis and not keep else probabilities
    )


def stacked(probabilities: Probabilities, axis: int) -> Probabilities:
    """The probabilities in several tensors that are stacked along a new axis."""
    if probabilities.family == "sigmoid" or probabilities.axis < axis:
        return probabilities
    return replace(probabilities, axis=probabilities.axis + 1)


def averaged(inputs: Iterable[Probabilities | None]) -> Probabilities | None:
    """The probabilities in a mean of several tensors; None for log-probabilities, whose mean is not normalized."""
    # A mean of probabilities is not a softmax of averaged logits, so the activation cannot be left out.
    probabilities = [entry if entry is None else replace(entry, removable=False) for entry in inputs]
    first = probabilities[0] if probabilities else None
    return first if first is not None and not first.log and all(entry == first for entry in probabilities) else None
