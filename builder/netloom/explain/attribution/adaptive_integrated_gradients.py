"""Integrated Gradients of many rows at once, each in more steps only where its own way needs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from netloom.explain.core.quadrature import TINY, TOLERANCE, Spans, Values, integrate

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext
    from netloom.explain.core.explanation import Target

MAX_STEPS = 256
# The way begins in so many spans, each with so many steps; those that are off are halved.
SPANS, STEPS = 8, 4
SHORTEST = 2.0**-12
# What few rows leave free: more at once, at 64 pictures, would take over four times the memory of one pass of them.
MAX_BATCH = 64
NODES, WEIGHTS = (np.polynomial.legendre.leggauss(STEPS)[0] + 1) / 2, np.polynomial.legendre.leggauss(STEPS)[1] / 2


def integrate_rows(
    context: ExplanationContext, targets: Sequence[Target] = (), most_steps: int = MAX_STEPS
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Attributions (N, …) by field of a context that holds N rows, at most `context.rows`, and how far off the sum of
    the parts of each row is, (N,), relative to F(x) − F(baseline); 0 where there is nothing to share out.

    `targets` say what is explained of each row, where that is not the same for all. How far each span of a row's way is
    off is known, as F is known at both of its ends; so only spans that are off are gone over again, as two halves.
    """
    paths = _RowPaths(context, targets)
    spans, parts = integrate(paths, paths.count, SPANS, most_steps // STEPS, SHORTEST)
    return _to_fields(context, paths.summed(spans, parts)), paths.relative_errors(spans, parts)


class _RowPaths:
    """The ways of N rows from the baseline to each: the rule by which the gradients along them are integrated."""

    def __init__(self, context: ExplanationContext, targets: Sequence[Target]) -> None:
        self.context, self.inputs = context, context.inputs
        self.targets = list(targets)
        self.values = tuple(point.value for point in context.points)
        self.grounds = tuple(point.baseline.expand_as(point.value) for point in context.points)
        self.count = len(self.values[0])
        rows = np.arange(self.count)
        baseline_scores, scores = (self._scores(rows, np.full(self.count, end)) for end in (0.0, 1.0))
        # F by row and share of its way.
        self.known = {
            (row, end): score
            for end, end_scores in ((0.0, baseline_scores), (1.0, scores))
            for row, score in enumerate(end_scores)
        }
        self.gap = scores - baseline_scores
        self.floor = TINY * np.maximum(1.0, np.maximum(abs(scores), abs(baseline_scores)))
        self.wanted = np.maximum(TOLERANCE * abs(self.gap), self.floor)

    def measure(self, spans: Spans) -> Values:
        """(x − b) times the integral of the gradient along some spans, (S, …), by Gauss and Legendre."""
        batch = max(1, min(self.context.rows, MAX_BATCH) // STEPS)
        self.context.expect_rows(len(spans) * STEPS)
        integrals: list[Values] = []
        for start in range(0, len(spans), batch):
            chunk = spans.take(np.arange(start, min(start + batch, len(spans))))
            shares = (chunk.low[:, None] + chunk.lengths[:, None] * NODES).ravel()
            values = tuple(value.requires_grad_() for value in self._at(np.repeat(chunk.rows, STEPS), shares))
            gradients = torch.autograd.grad(self.context.point_score(*values).sum(), values)
            weights = torch.from_numpy(chunk.lengths[:, None] * WEIGHTS).float()  # (S, STEPS)
            means = (
                torch.einsum("sk,sk...->s...", weights, gradient.reshape(-1, STEPS, *gradient.shape[1:]))
                for gradient in gradients
            )
            rows = torch.from_numpy(chunk.rows)
            changes = ((value - ground)[rows] for value, ground in zip(self.values, self.grounds, strict=True))
            integrals.append(tuple(mean * change for mean, change in zip(means, changes, strict=True)))
        self._back()
        return tuple(torch.cat(point) for point in zip(*integrals, strict=True))

    def errors(self, spans: Spans, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """How far each span is off, (S,), where the parts of its row do not add up yet, and what may be left, (N,)."""
        changes = _sums(values)
        # Not "greater": a sum that is not a number never adds up.
        span_errors = np.where((self._delta(spans, changes) <= self.wanted)[spans.rows], 0.0, np.nan)
        unconverged = np.flatnonzero(np.isnan(span_errors))
        span_errors[unconverged] = abs(changes[unconverged] - self._rises(spans.take(unconverged)))
        return span_errors, self.wanted / 2

    def summed(self, spans: Spans, parts: Values) -> Values:
        """The attributions at each point, (N, …), in double precision."""
        rows = torch.from_numpy(spans.rows)
        return tuple(
            torch.zeros(value.shape, dtype=torch.float64).index_add_(0, rows, part.double())
            for value, part in zip(self.values, parts, strict=True)
        )

    def relative_errors(self, spans: Spans, parts: Values) -> np.ndarray:
        """How far the parts of each row are off, (N,), as a share of its change."""
        delta, gap = self._delta(spans, _sums(parts)), abs(self.gap)
        errors: np.ndarray = np.where(np.maximum(gap, delta) <= self.floor, 0.0, delta / np.maximum(gap, 1e-12))
        return errors

    def _delta(self, spans: Spans, changes: np.ndarray) -> np.ndarray:
        delta: np.ndarray = abs(np.bincount(spans.rows, changes, self.count) - self.gap)
        return delta

    def _rises(self, spans: Spans) -> np.ndarray:
        """How much F rises along some spans, (S,)."""
        lows, highs = (list(zip(spans.rows.tolist(), ends.tolist(), strict=True)) for ends in (spans.low, spans.high))
        if missing := [position for position in dict.fromkeys([*lows, *highs]) if position not in self.known]:
            rows, shares = (np.array(part) for part in zip(*missing, strict=True))
            self.known.update(zip(missing, self._scores(rows, shares), strict=True))
        return np.array([self.known[high] - self.known[low] for low, high in zip(lows, highs, strict=True)])

    def _at(self, rows: np.ndarray, shares: np.ndarray) -> Values:
        """Values on the way of some rows, at a share of it; the context looks at those rows."""
        row_index, share = torch.from_numpy(rows), torch.from_numpy(shares).float()
        self.context.inputs = {name: value[row_index] for name, value in self.inputs.items()}
        self.context.targets = [self.targets[row] for row in rows.tolist()] if self.targets else []
        values = []
        for value, baseline in zip(self.values, self.grounds, strict=True):
            fraction = share.reshape(-1, *[1] * (value.ndim - 1))
            values.append(baseline[row_index] * (1 - fraction) + value[row_index] * fraction)  # exact at both ends
        return tuple(values)

    def _scores(self, rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """F (S,) at places on the ways."""
        self.context.expect_rows(len(rows))
        scores = [np.zeros(0)]
        for start in range(0, len(rows), self.context.rows):
            chunk = slice(start, start + self.context.rows)
            with torch.no_grad():
                scores.append(self.context.point_score(*self._at(rows[chunk], shares[chunk])).double().numpy())
        self._back()
        return np.concatenate(scores)

    def _back(self) -> None:
        self.context.inputs, self.context.targets = self.inputs, self.targets


def _sums(parts: Values) -> np.ndarray:
    """The sum of the parts of each span, (S,)."""
    sums: np.ndarray = torch.stack([part.flatten(1).sum(1, dtype=torch.float64) for part in parts]).sum(0).numpy()
    return sums


def _to_fields(context: ExplanationContext, values: Values) -> dict[str, np.ndarray]:
    """As `ExplanationContext.to_fields`, row by row: vectors of tokens are summed up."""
    count = len(values[0])
    fields = {name: np.zeros((count, *spec.shape)) for name, spec in context.specs.items()}
    for point, value in zip(context.points, values, strict=True):
        fields[point.field] += (value if point.embedding is None else value.flatten(2).sum(2)).numpy()
    return fields
