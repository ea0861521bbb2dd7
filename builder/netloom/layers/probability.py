"""What a layer's output says about probabilities: whether its numbers are some, their logarithms, or neither."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

# Shares that add up to 1 along an axis, or probabilities that each stand alone.
Family = Literal["softmax", "sigmoid"]
Shape = Sequence[int | None]


@dataclass(frozen=True)
class Probabilities:
    """A tensor of probabilities, or of their logarithms where `log` is set.

    `softmax`: along `axis`, counted with the batch axis, they add up to 1. `sigmoid`: each is of a yes or no by itself,
    and `axis` is 0. `removable` says that without the activation that made them the same layers give logits.
    """

    family: Family
    axis: int = 0
    log: bool = False
    removable: bool = True


def reshaped(probabilities: Probabilities | None, before: Shape, after: Shape) -> Probabilities | None:
    """The same numbers in the same order under another shape: the axis has to stay whole."""
    if probabilities is None or probabilities.family == "sigmoid":
        return probabilities
    length, ahead = before[probabilities.axis], prod(size or 1 for size in before[1 : probabilities.axis])
    for axis in range(1, len(after)):
        if after[axis] == length and prod(size or 1 for size in after[1:axis]) == ahead:
            return replace(probabilities, axis=axis)
    return None


def permuted(probabilities: Probabilities | None, order: Sequence[int]) -> Probabilities | None:
    """With the axes in another order, the batch axis first and left out of it."""
    if probabilities is None or probabilities.family == "sigmoid":
        return probabilities
    return replace(probabilities, axis=1 + list(order).index(probabilities.axis))


def without(probabilities: Probabilities | None, axis: int, *, keep: bool) -> Probabilities | None:
    """Of one place along another axis, which goes unless it is kept."""
    if probabilities is None or probabilities.family == "sigmoid":
        return probabilities
    if probabilities.axis == axis:
        return None
    return (
        replace(probabilities, axis=probabilities.axis - 1) if axis < probabilities.axis and not keep else probabilities
    )


def averaged(inputs: Iterable[Probabilities | None]) -> Probabilities | None:
    """The mean of several: probabilities as well, but not that of their logarithms."""
    probabilities = [one if one is None else replace(one, removable=False) for one in inputs]
    first = probabilities[0] if probabilities else None
    return first if first is not None and not first.log and all(one == first for one in probabilities) else None
