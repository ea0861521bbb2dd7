"""Padding of convolutions and pooling, which PyTorch's layers know only if both ends of an axis are padded equally."""

from __future__ import annotations

import math
from collections.abc import Sequence

# A power of two, which float32 represents exactly, below all values that a network computes: it is never the maximum of
# a window beside one of them. Documents cannot have −∞.
LOWEST = -(2.0**127)
# The numbers of values before and after each spatial axis
Borders = list[tuple[int, int]]


def same_padding(
    lengths: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Borders:
    """The padding "same" of Keras, PyTorch and ONNX (SAME_UPPER); if it is odd, one more is added at the end."""
    borders = []
    for length, size, step, spread in zip(lengths, kernel, stride, dilation, strict=True):
        # The values that ceil(L / stride) windows need beyond the length
        total = max((math.ceil(length / step) - 1) * step + (size - 1) * spread + 1 - length, 0)
        borders.append((total // 2, total - total // 2))
    return borders


def pad_sides(borders: Borders) -> list[int]:
    """Borders in the order of PyTorch, which begins with the last axis."""
    return [side for pair in reversed(borders) for side in pair]
