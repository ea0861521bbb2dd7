"""Adaptive integrals along paths from baselines to examples.

`scipy.integrate.quad_vec` evaluates one point of one path at a time, but a network evaluates a batch in hardly more
time than one point.
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
# The largest relative error of a sum that `COMPLETENESS_BOUNDS` calls converged
TOLERANCE = 0.01
# Changes of the score up to this share of the score count as 0
TINY = 1e-5
T = TypeVar("T")
Values = tuple["torch.Tensor", ...]


def double_until(
    attempt: Callable[[int], T], is_enough: Callable[[T], bool], first_steps: int, max_steps: int
) -> tuple[T, int]:
    """Double the number of steps until `is_enough` or `max_steps`; return the last attempt and its steps."""
    steps = min(first_steps, max_steps)
    while True:
        result = attempt(steps)
        if is_enough(result) or steps >= max_steps:
            return result, steps
        steps = min(2 * steps, max_steps)


@dataclass(frozen=True)
class Spans:
    """Spans of the paths of N rows: the row of each, and its start and end from 0 to 1, (spans,) each."""

    rows: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def even(cls, rows: int, count: int) -> Spans:
        """Divide the paths of `rows` rows into `count` equal spans each."""
        return cls(np.arange(rows), np.zeros(rows), np.ones(rows)).split(np.full(rows, count))

    @property
    def lengths(self) -> np.ndarray:
        """The length of each span, (spans,)."""
        lengths: np.ndarray = self.high - self.low
        return lengths

    def take(self, places: np.ndarray) -> Spans:
        """Return the spans at indexes."""
        return Spans(self.rows[places], self.low[places], self.high[places])

    def split(self, parts: np.ndarray) -> Spans:
        """Divide each span into `parts` (spans,) equal parts, in order along the path."""
        order = np.lexsort((self.low, self.rows))
        positions = np.repeat(order, parts[order])
        original, count = self.take(positions), parts[positions]
        # The index of each part within its span
        number = np.arange(len(positions)) - np.repeat(np.cumsum(parts[order]) - parts[order], parts[order])
        low, high = (original.low + original.lengths * at / count for at in (number, number + 1))
        return Spans(original.rows, low, high)

    def joined(self, spans: Spans) -> Spans:
        """Return these spans followed by others."""
        pairs = ((self.rows, spans.rows), (self.low, spans.low), (self.high, spans.high))
        return Spans(*(np.concatenate(pair) for pair in pairs))

    def __len__(self) -> int:
        return len(self.rows)


class Rule(Protocol):
    """An integration rule with an error estimate."""

    def measure(self, spans: Spans) -> Values:
        """Return the integrals along spans, (spans, …) for each point."""

    def errors(self, spans: Spans, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """Return the error of each span, (spans,), and the total error allowed in the unsplit spans of each row, (N,).

        The spans of converged rows have the error 0.
        """


def integrate(
    rule: Rule, rows: int, first_spans: int, max_spans: int, shortest: float, quarter_above: float = inf
) -> tuple[Spans, Values]:
    """Integrate along the paths of N rows with adaptive spans.

    Each path starts with `first_spans` spans and gets at most `max_spans`; inaccurate spans are split in two. Spans up
    to `shortest` are not split. A span whose error exceeds that of the last split span by the factor `quarter_above` is
    split in four, because its halves would be split again.
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
        # Frees the values of split spans, which may be large.
        values = tuple(value[torch.from_numpy(unsplit)] for value in values)
        values = tuple(torch.cat(pair) for pair in zip(values, rule.measure(finer), strict=True))
        spans = spans.take(unsplit).joined(finer)


def _split_counts(
    spans: Spans, errors: np.ndarray, tolerable: np.ndarray, max_spans: int, shortest: float, quarter_above: float
) -> np.ndarray:
    """Return the number of parts of each span, (spans,): in each row, the fewest splits that make the rest accurate
    enough."""
    parts = np.ones(len(spans), dtype=np.int64)
    for row in np.unique(spans.rows[errors != 0]):
        indices: np.ndarray = np.flatnonzero(spans.rows == row)
        span_errors, lengths = errors[indices], spans.lengths[indices]
        short = lengths <= shortest
        # More steps do not help at a discontinuity of the score, or if it is NaN.
        if not span_errors[short].sum() <= 2 * tolerable[row] or not np.isfinite(span_errors).all():
            continue
        span_errors[short] = 0.0
        order = np.argsort(-span_errors, kind="stable")
        # Errors of different spans have different signs, so they are combined as the root of the sum of squares.
        # `remaining[k]` is left if the k + 1 least accurate spans are split.
        remaining = np.sqrt(np.maximum(0.0, np.square(span_errors).sum() - np.cumsum(np.square(span_errors[order]))))
        remaining_spans = max_spans - len(indices)
        chosen = order[: max(0, min(int(np.argmax(remaining <= tolerable[row])) + 1, remaining_spans))]
        remaining_spans -= len(chosen)
        for span_index in chosen[lengths[chosen] > shortest]:
            quarter = (
                span_errors[span_index] > quarter_above * span_errors[chosen[-1]]
                and lengths[span_index] > 2 * shortest
                and remaining_spans >= 2
            )
            parts[indices[span_index]] = 4 if quarter else 2
            remaining_spans -= 2 if quarter else 0
    return parts
