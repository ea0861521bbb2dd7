"""Segments of long series: time spans if there is a clock, otherwise ranges of steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from netloom.data import FieldSpec
    from netloom.modalities.encoding.field_encoder import FieldEncoder

# Longer series are divided into at most this many segments.
MAX_SEGMENTS = 64
ROUND = (1, 2, 5)


@dataclass(frozen=True)
class Segments:
    """Segments of a univariate series: their names and first steps.

    `heard` marks audio, whose values oscillate around 0, so that the level of a segment is its loudness.
    """

    names: tuple[str, ...]
    starts: tuple[int, ...]
    heard: bool

    def summed(self, values: np.ndarray) -> np.ndarray:
        """Sum values (N, T) or (N, T, 1) over each segment, (N, segments)."""
        sums: np.ndarray = np.add.reduceat(values.reshape(len(values), -1), self.starts, axis=1)
        return sums

    def levels(self, series: np.ndarray) -> np.ndarray:
        """Return the mean or loudness of each segment, (N, segments)."""
        lengths = self.summed(np.ones((1, int(np.prod(series.shape[1:])))))
        if self.heard:
            root_mean_squares: np.ndarray = np.sqrt(self.summed(np.square(series.astype(np.float64))) / lengths)
            return root_mean_squares
        means: np.ndarray = self.summed(series.astype(np.float64)) / lengths
        return means


def segments_of(spec: FieldSpec, encoder: FieldEncoder[Any]) -> Segments | None:
    """Return the segments of a field; None if it is short enough for single steps."""
    steps = spec.shape[0]
    if not spec.is_sequence or int(np.prod(spec.shape)) != steps:
        return None
    return split_steps(steps, encoder.rate)


def split_steps(steps: int, rate: float = 0.0) -> Segments | None:
    """Divide steps into segments; `rate` is in steps per second (0 without a clock). None if there are few steps."""
    if steps <= MAX_SEGMENTS:
        return None
    if not rate:
        length = next(size for size in _round_lengths(1.0) if size * MAX_SEGMENTS >= steps)
        starts = list(range(0, steps, int(length)))
        ends = [*starts[1:], steps]
        bounds = zip(starts, ends, strict=True)
        names = [f"steps {first}–{end - 1}" if end > first + 1 else f"step {first}" for first, end in bounds]
        return Segments(tuple(names), tuple(starts), heard=False)
    # The shortest round duration with at most `MAX_SEGMENTS` segments of at least one step each.
    seconds = next(size for size in _round_lengths(1e-4) if size * MAX_SEGMENTS >= steps / rate and size * rate >= 1)
    # The tolerance keeps a quotient such as 1.1 / 0.1, slightly above 11, from adding a segment.
    segment_count = int(np.ceil(steps / (seconds * rate) - 1e-9))
    edges = [min(steps, round(number * seconds * rate)) for number in range(segment_count)]
    decimals = max(0, -int(np.floor(np.log10(seconds) + 1e-9)))
    times = [*(number * seconds for number in range(segment_count)), steps / rate]
    names = [f"{low:.{decimals}f}–{high:.{decimals}f} s" for low, high in pairwise(times)]
    return Segments(tuple(names), tuple(edges), heard=True)


def _round_lengths(smallest: float) -> list[float]:
    """Return 1, 2, 5, 10, 20, … times `smallest`."""
    return [smallest * first * 10**power for power in range(12) for first in ROUND]
