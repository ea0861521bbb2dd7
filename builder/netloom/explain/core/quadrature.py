"""Integrals along the path from a baseline to an example, in more steps only where the path needs them.

Not `scipy.integrate.quad_vec`, which looks at one place of one path at a time: a network takes hardly longer for many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

FIRST_STEPS = 32
TOLERANCE = 0.01
TINY = 1e-5
T = TypeVar("T")
Values = tuple["torch.Tensor", ...]


def double_until(
    attempt: Callable[[int], T], is_enough: Callable[[T], bool], first_steps: int, max_steps: int
) -> tuple[T, int]:
    """The first attempt that is enough, each in twice as many steps as the last, or that in `most`; and its steps."""
    steps = min(first_steps, max_steps)
    while True:
        result = attempt(steps)
        if is_enough(result) or steps >= max_steps:
            return result, steps
        steps = min(2 * steps, max_steps)


@dataclass(frozen=True)
class Spans:
    """Spans of the paths of N rows: the row of each, and from which share of its path to which, (S,) each."""

    rows: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def even(cls, rows: int, count: int) -> Spans:
        """The paths of some rows, each in so many spans of the same length."""
        return cls(np.arange(rows), np.zeros(rows), np.ones(rows)).split(np.full(rows, count))

    @property
    def lengths(self) -> np.ndarray:
        lengths: np.ndarray = self.high - self.low
        return lengths

    def take(self, places: np.ndarray) -> Spans:
        """The spans at some places."""
        return Spans(self.rows[places], self.low[places], self.high[places])

    def split(self, parts: np.ndarray) -> Spans:
        """Each in so many parts (S,) of the same length; those of a row in their order along its path."""
        order = np.lexsort((self.low, self.rows))
        places = np.repeat(order, parts[order])
        original, count = self.take(places), parts[places]
        number = np.arange(len(places)) - np.repeat(np.cumsum(parts[order]) - parts[order], parts[order])
        low, high = (original.low + original.lengths * at / count for at in (number, number + 1))
        return Spans(original.rows, low, high)

    def joined(self, other: Spans) -> Spans:
        pairs = ((self.rows, other.rows), (self.low, other.low), (self.high, other.high))
        return Spans(*(np.concatenate(pair) for pair in pairs))

    def __len__(self) -> int:
        return len(self.rows)


class Rule(Protocol):
    """What is integrated, and how far off it is."""

    def measure(self, spans: Spans) -> Values:
        """The integrals along some spans, (S, …) each."""

    def errors(self, spans: Spans, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """How far each span is off, (S,), 0 in rows that need no more steps; and how far the spans of a row that are
        left as they are may be off together, (N,)."""


def integrate(
    rule: Rule, rows: int, first_spans: int, max_spans: int, shortest: float, quarter_above: float = inf
) -> tuple[Spans, Values]:
    """The integrals along the paths of N rows, span by span: first in `first` spans each, then in up to `most`, of
    which those that are off are measured again in two parts. None is split that is not longer than `shortest`; one that
    is more than `far` times as far off as the last that is split goes in four, as its halves would go on being split.
    """
    import torch

    spans = Spans.even(rows, first_spans)
    values = rule.measure(spans)
    while True:
        parts = _split_counts(spans, *rule.errors(spans, values), max_spans, shortest, quarter_above)
        split = np.flatnonzero(parts > 1)
        if not len(split):
            return spans, values
        finer, unsplit = spans.take(split).split(parts[split]), np.flatnonzero(parts == 1)
        # What is measured again is of no use any more, and may be large.
        values = tuple(value[torch.from_numpy(unsplit)] for value in values)
        values = tuple(torch.cat(pair) for pair in zip(values, rule.measure(finer), strict=True))
        spans = spans.take(unsplit).joined(finer)


def _split_counts(
    spans: Spans, errors: np.ndarray, tolerable: np.ndarray, max_spans: int, shortest: float, quarter_above: float
) -> np.ndarray:
    """In how many parts each span goes, (S,): of each row the fewest without which the rest is near enough."""
    parts = np.ones(len(spans), dtype=np.int64)
    for row in np.unique(spans.rows[errors != 0]):
        indices: np.ndarray = np.flatnonzero(spans.rows == row)
        span_errors, lengths = errors[indices], spans.lengths[indices]
        short = lengths <= shortest
        # Where the answer jumps, no number of steps is enough; nor where it is not a number.
        if not span_errors[short].sum() <= 2 * tolerable[row] or not np.isfinite(span_errors).all():
            continue
        span_errors[short] = 0.0
        order = np.argsort(-span_errors, kind="stable")
        remaining = np.sqrt(np.maximum(0.0, np.square(span_errors).sum() - np.cumsum(np.square(span_errors[order]))))
        room = max_spans - len(indices)
        chosen = order[: max(0, min(int(np.argmax(remaining <= tolerable[row])) + 1, room))]
        room -= len(chosen)
        for place in chosen[lengths[chosen] > shortest]:
            quarter = (
                span_errors[place] > quarter_above * span_errors[chosen[-1]]
                and lengths[place] > 2 * shortest
                and room >= 2
            )
            parts[indices[place]] = 4 if quarter else 2
            room -= 2 if quarter else 0
    return parts
