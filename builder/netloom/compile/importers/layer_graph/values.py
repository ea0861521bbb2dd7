"""Values of an imported program: constants, and tensors with the axes that they have in the file.

In a document the batch is the first axis of every tensor; in a file it may be any axis, also a part of one (batch times
heads). A tensor of the file is therefore represented by an output port, and by the axes of the port that form each axis
of the file. Moving axes then adds no layers until a layer needs them in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netloom.layers import TensorSpec

# The length that stands for the batch while shapes are computed: a prime that no real axis has.
BATCH = 2**31 - 1
Array = np.ndarray[Any, Any]


class UnsupportedOperatorError(ValueError):
    """An operator that no layer can express; the message is the reason, as the end of a sentence."""


# What malformed attributes and shapes of a file can raise in a converter, in NumPy or in PyTorch
MALFORMED_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    ZeroDivisionError,
    AttributeError,
    MemoryError,
)


class BatchAxisError(UnsupportedOperatorError):
    """A recurrent layer whose sequence has the batch at another axis."""


@dataclass(frozen=True, eq=False)
class Learned:
    """Layers that compute a constant from parameters: `build` adds them once and returns a tensor (BATCH, *shape)."""

    array: Array
    build: Callable[[], Tensor]


@dataclass(frozen=True)
class Constant:
    """A constant array. `weight` is the name of the tensor in the file with the same values, if any.

    `learned` holds layers that compute `array` from parameters of the file, if there are such layers.
    """

    array: Array
    weight: str = ""
    learned: Learned | None = field(default=None, compare=False, repr=False)

    @property
    def learned_values(self) -> Learned | None:
        """The layers that compute exactly this array; None if there are none, or the array was replaced since."""
        return self.learned if self.learned is not None and self.learned.array is self.array else None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def has_nonzero(self) -> bool:
        """Whether any value is not 0.

        Axes of stride 0, which may repeat a value BATCH times, are read once.
        """
        return bool(np.any(self.array[tuple(slice(None) if step else slice(0, 1) for step in self.array.strides)]))

    @property
    def scalar(self) -> float | None:
        """The common value of all elements; None if there are none, or if they are stored separately."""
        if self.array.size == 0:
            return None
        if self.array.size > 1 and any(self.array.strides):
            return None
        return float(self.array.reshape(-1)[0] if self.array.size == 1 else self.array[(0,) * self.array.ndim])


@dataclass(frozen=True)
class Tensor:
    """An output port. `axes` lists, for each axis of the file, the port's axes that it consists of; 0 is the batch.

    A transposed (N, heads, T, width) may have the axes ((0,), (2,), (1,), (3,)), and (N·heads, T, width) the axes
    ((0, 1), (2,), (3,)).
    """

    ref: str
    spec: TensorSpec
    axes: tuple[tuple[int, ...], ...]
    boolean: bool = False

    def length(self, axis: int) -> int:
        """The length of an axis of the file, in which the batch counts as BATCH."""
        return math.prod(self.size(inner) for inner in self.axes[axis])

    def size(self, inner: int) -> int:
        """The length of an axis of the port."""
        return BATCH if inner == 0 else self.spec.size(inner)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.length(axis) for axis in range(len(self.axes)))

    @property
    def batch(self) -> int:
        """The axis of the file that contains the batch."""
        return next(position for position, group in enumerate(self.axes) if 0 in group)

    @property
    def rank(self) -> int:
        return len(self.axes)


Value = Constant | Tensor


def pad_rank(tensor: Tensor, rank: int) -> Tensor:
    """The tensor with axes of length 1 added in front, up to `rank` axes."""
    axes = ((),) * (rank - tensor.rank) + tensor.axes
    return Tensor(tensor.ref, tensor.spec, axes, tensor.boolean)


def integer_constant(values: Any) -> Constant:
    """A constant of 64-bit integers, such as indices."""
    return Constant(np.asarray(values, np.int64))


def normalize_axis(axis: int, rank: int) -> int:
    """An axis counted from the front, like `numpy.lib.array_utils.normalize_axis_index`.

    Raises:
        UnsupportedOperatorError: The axis does not exist.
    """
    if not -rank <= axis < rank:
        raise UnsupportedOperatorError(f"there is no axis {axis} among {rank}")
    return axis % rank
