"""Long series in pieces that people can name: spans of time where there is a clock, else so many steps together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from netloom.data import FieldSpec
    from netloom.modalities.encoding.field_encoder import FieldEncoder

# A series of more steps than this is told in pieces, of which there are at most as many.
MOST_STEPS = 64
ROUND = (1, 2, 5)


@dataclass(frozen=True)
class Spans:
    """Pieces of a series of one number a step: their names, and the step with which each begins. `heard`: it is a
    sound, whose values go up and down around nothing, so that what tells of a piece is how loud it is."""

    names: tuple[str, ...]
    starts: tuple[int, ...]
    heard: bool

    def summed(self, values: np.ndarray) -> np.ndarray:
        """The sums over each piece, (N, pieces), of values (N, T) or (N, T, 1)."""
        found: np.ndarray = np.add.reduceat(values.reshape(len(values), -1), self.starts, axis=1)
        return found

    def levels(self, given: np.ndarray) -> np.ndarray:
        """How high, or how loud, each piece is, (N, pieces)."""
        lengths = self.summed(np.ones((1, int(np.prod(given.shape[1:])))))
        if self.heard:
            found: np.ndarray = np.sqrt(self.summed(np.square(given.astype(np.float64))) / lengths)
            return found
        means: np.ndarray = self.summed(given.astype(np.float64)) / lengths
        return means


def spans_of(spec: FieldSpec, encoder: FieldEncoder[Any]) -> Spans | None:
    """The pieces of a field; None where each step can be named by itself."""
    steps = spec.shape[0]
    if not spec.is_sequence or int(np.prod(spec.shape)) != steps:
        return None
    return pieces(steps, encoder.rate)


def pieces(steps: int, rate: float = 0.0) -> Spans | None:
    """The pieces of so many steps, of which `rate` are a second (0: there is no clock); None where they are few."""
    if steps <= MOST_STEPS:
        return None
    if not rate:
        length = next(size for size in _round(1.0) if size * MOST_STEPS >= steps)
        firsts = list(range(0, steps, int(length)))
        ends = [*firsts[1:], steps]
        each = zip(firsts, ends, strict=True)
        names = [f"steps {first}–{end - 1}" if end > first + 1 else f"step {first}" for first, end in each]
        return Spans(tuple(names), tuple(firsts), heard=False)
    seconds = next(size for size in _round(1e-4) if size * MOST_STEPS >= steps / rate and size * rate >= 1)
    count = int(np.ceil(steps / (seconds * rate) - 1e-9))
    edges = [min(steps, round(place * seconds * rate)) for place in range(count)]
    places = max(0, -int(np.floor(np.log10(seconds) + 1e-9)))
    times = [*(place * seconds for place in range(count)), steps / rate]
    names = [f"{low:.{places}f}–{high:.{places}f} s" for low, high in pairwise(times)]
    return Spans(tuple(names), tuple(edges), heard=True)


def _round(least: float) -> list[float]:
    """1, 2, 5, 10, 20, … times `least`."""
    return [least * first * 10**power for power in range(12) for first in ROUND]
