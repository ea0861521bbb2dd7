"""Integrated Gradients of many rows at once, each in more steps only where its own way needs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from netloom.explain.core.quadrature import TINY, TOLERANCE, Spans, Values, integrate

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject
    from netloom.explain.core.explanation import Target

MOST_STEPS = 256
# The way begins in so many spans, each with so many steps; those that are off are halved.
SPANS, STEPS = 8, 4
SHORTEST = 2.0**-12
# What few rows leave free: more at once, at 64 pictures, would take over four times the memory of one pass of them.
AT_ONCE = 64
NODES, WEIGHTS = (np.polynomial.legendre.leggauss(STEPS)[0] + 1) / 2, np.polynomial.legendre.leggauss(STEPS)[1] / 2


def integrated(
    subject: Subject, targets: Sequence[Target] = (), most_steps: int = MOST_STEPS
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Attributions (N, …) by field of a subject that holds N rows, at most `subject.rows`, and how far off the sum of
    the parts of each row is, (N,), relative to F(x) − F(baseline); 0 where there is nothing to share out.

    `targets` say what is explained of each row, where that is not the same for all. How far each span of a row's way is
    off is known, as F is known at both of its ends; so only spans that are off are gone over again, as two halves.
    """
    ways = _Ways(subject, targets)
    spans, parts = integrate(ways, ways.count, SPANS, most_steps // STEPS, SHORTEST)
    return _folded(subject, ways.summed(spans, parts)), ways.relative_errors(spans, parts)


class _Ways:
    """The ways of N rows from the baseline to each: the rule by which the gradients along them are integrated."""

    def __init__(self, subject: Subject, targets: Sequence[Target]) -> None:
        self.subject, self.inputs = subject, subject.inputs
        self.targets = list(targets)
        self.values = tuple(point.value for point in subject.points)
        self.grounds = tuple(point.baseline.expand_as(point.value) for point in subject.points)
        self.count = len(self.values[0])
        each = np.arange(self.count)
        ground, answer = (self._scores(each, np.full(self.count, end)) for end in (0.0, 1.0))
        # F by row and share of its way.
        self.known = {(row, end): score for end, one in ((0.0, ground), (1.0, answer)) for row, score in enumerate(one)}
        self.gap = answer - ground
        self.floor = TINY * np.maximum(1.0, np.maximum(abs(answer), abs(ground)))
        self.wanted = np.maximum(TOLERANCE * abs(self.gap), self.floor)

    def measure(self, spans: Spans) -> Values:
        """(x − b) times the integral of the gradient along some spans, (S, …), by Gauss and Legendre."""
        at_once = max(1, min(self.subject.rows, AT_ONCE) // STEPS)
        self.subject.expect(len(spans) * STEPS)
        found: list[Values] = []
        for start in range(0, len(spans), at_once):
            some = spans.take(np.arange(start, min(start + at_once, len(spans))))
            shares = (some.low[:, None] + some.lengths[:, None] * NODES).ravel()
            values = tuple(value.requires_grad_() for value in self._at(np.repeat(some.rows, STEPS), shares))
            gradients = torch.autograd.grad(self.subject.point_score(*values).sum(), values)
            weights = torch.from_numpy(some.lengths[:, None] * WEIGHTS).float()  # (S, STEPS)
            means = (
                torch.einsum("sk,sk...->s...", weights, gradient.reshape(-1, STEPS, *gradient.shape[1:]))
                for gradient in gradients
            )
            chosen = torch.from_numpy(some.rows)
            ways = ((value - ground)[chosen] for value, ground in zip(self.values, self.grounds, strict=True))
            found.append(tuple(mean * way for mean, way in zip(means, ways, strict=True)))
        self._back()
        return tuple(torch.cat(point) for point in zip(*found, strict=True))

    def errors(self, spans: Spans, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """How far each span is off, (S,), where the parts of its row do not add up yet, and what may be left, (N,)."""
        changes = _changes(values)
        # Not "greater": a sum that is not a number never adds up.
        off = np.where((self._delta(spans, changes) <= self.wanted)[spans.rows], 0.0, np.nan)
        left = np.flatnonzero(np.isnan(off))
        off[left] = abs(changes[left] - self._rises(spans.take(left)))
        return off, self.wanted / 2

    def summed(self, spans: Spans, parts: Values) -> Values:
        """The attributions at each point, (N, …), in double precision."""
        rows = torch.from_numpy(spans.rows)
        return tuple(
            torch.zeros(value.shape, dtype=torch.float64).index_add_(0, rows, part.double())
            for value, part in zip(self.values, parts, strict=True)
        )

    def relative_errors(self, spans: Spans, parts: Values) -> np.ndarray:
        """How far the parts of each row are off, (N,), as a share of its change."""
        delta, gap = self._delta(spans, _changes(parts)), abs(self.gap)
        found: np.ndarray = np.where(np.maximum(gap, delta) <= self.floor, 0.0, delta / np.maximum(gap, 1e-12))
        return found

    def _delta(self, spans: Spans, changes: np.ndarray) -> np.ndarray:
        found: np.ndarray = abs(np.bincount(spans.rows, changes, self.count) - self.gap)
        return found

    def _rises(self, spans: Spans) -> np.ndarray:
        """How much F rises along some spans, (S,)."""
        lows, highs = (list(zip(spans.rows.tolist(), ends.tolist(), strict=True)) for ends in (spans.low, spans.high))
        if new := [place for place in dict.fromkeys([*lows, *highs]) if place not in self.known]:
            rows, shares = (np.array(part) for part in zip(*new, strict=True))
            self.known.update(zip(new, self._scores(rows, shares), strict=True))
        return np.array([self.known[high] - self.known[low] for low, high in zip(lows, highs, strict=True)])

    def _at(self, rows: np.ndarray, shares: np.ndarray) -> Values:
        """Values on the way of some rows, at a share of it; the subject looks at those rows."""
        chosen, share = torch.from_numpy(rows), torch.from_numpy(shares).float()
        self.subject.inputs = {name: value[chosen] for name, value in self.inputs.items()}
        self.subject.targets = [self.targets[row] for row in rows.tolist()] if self.targets else []
        found = []
        for value, ground in zip(self.values, self.grounds, strict=True):
            along = share.reshape(-1, *[1] * (value.ndim - 1))
            found.append(ground[chosen] * (1 - along) + value[chosen] * along)  # exact at both ends
        return tuple(found)

    def _scores(self, rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """F (S,) at places on the ways."""
        self.subject.expect(len(rows))
        found = [np.zeros(0)]
        for start in range(0, len(rows), self.subject.rows):
            some = slice(start, start + self.subject.rows)
            with torch.no_grad():
                found.append(self.subject.point_score(*self._at(rows[some], shares[some])).double().numpy())
        self._back()
        return np.concatenate(found)

    def _back(self) -> None:
        self.subject.inputs, self.subject.targets = self.inputs, self.targets


def _changes(parts: Values) -> np.ndarray:
    """The sum of the parts of each span, (S,)."""
    found: np.ndarray = torch.stack([part.flatten(1).sum(1, dtype=torch.float64) for part in parts]).sum(0).numpy()
    return found


def _folded(subject: Subject, found: Values) -> dict[str, np.ndarray]:
    """As `Subject.fold`, row by row: vectors of tokens are summed up."""
    count = len(found[0])
    folded = {name: np.zeros((count, *spec.shape)) for name, spec in subject.specs.items()}
    for point, value in zip(subject.points, found, strict=True):
        folded[point.field] += (value if point.entry is None else value.flatten(2).sum(2)).numpy()
    return folded
