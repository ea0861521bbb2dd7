"""Values of an imported program: constants, and tensors with the axes that the file gives them.

DOC
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.layers import TensorSpec

# The length that stands for the batch while shapes are computed: a prime that no real axis has.
BATCH = 2**31 - 1
Array = np.ndarray[Any, Any]


class UnsupportedOperatorError(ValueError):
    """An operator that cannot be drawn; the message says why."""


@dataclass(frozen=True)
class Constant:
    """Numbers that are known. `weight` is the name of the file's own tensor, where it is one that was not changed."""

    array: Array
    weight: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def has_nonzero(self) -> bool:
        """Whether any number is not 0; what is repeated for each example is looked at once."""
        return bool(np.any(self.array[tuple(slice(None) if step else slice(0, 1) for step in self.array.strides)]))

    @property
    def scalar(self) -> float | None:
        """The one number of which all of it is made."""
        if self.array.size == 0:
            return None
        if self.array.size > 1 and any(self.array.strides):
            return None
        return float(self.array.reshape(-1)[0] if self.array.size == 1 else self.array[(0,) * self.array.ndim])


@dataclass(frozen=True)
class Tensor:
    """What a port gives. `axes` says which of the port's axes each axis of the file is made of; 0 is the batch."""

    ref: str
    spec: TensorSpec
    axes: tuple[tuple[int, ...], ...]
    boolean: bool = False

    def length(self, axis: int) -> int:
        """The length of one axis of the file, in which the batch counts as BATCH."""
        return math.prod(self.size(inner) for inner in self.axes[axis])

    def size(self, inner: int) -> int:
        """The length of one axis of what the port gives."""
        return BATCH if inner == 0 else self.spec.size(inner)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.length(axis) for axis in range(len(self.axes)))

    @property
    def batch(self) -> int:
        """The axis of the file in which the batch is."""
        return next(place for place, group in enumerate(self.axes) if 0 in group)

    @property
    def rank(self) -> int:
        return len(self.axes)


Value = Constant | Tensor


def pad_rank(tensor: Tensor, rank: int) -> Tensor:
    """The tensor with further axes of length 1 in front."""
    axes = ((),) * (rank - tensor.rank) + tensor.axes
    return Tensor(tensor.ref, tensor.spec, axes, tensor.boolean)


def normalize_axis(axis: int, rank: int) -> int:
    """An axis counted from the front, like `numpy.lib.array_utils.normalize_axis_index`.

    Raises:
        UnsupportedOperatorError: there is no such axis.
    """
    if not -rank <= axis < rank:
        raise UnsupportedOperatorError(f"there is no axis {axis} among {rank}")
    return axis % rank
