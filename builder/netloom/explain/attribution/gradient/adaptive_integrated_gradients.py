"""Integrated Gradients of many rows at once, with adaptive steps on each path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from netloom.explain.core.estimation.quadrature import TINY, TOLERANCE, Spans, Values, integrate

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext
    from netloom.explain.core.explanation import Target

MAX_STEPS = 256
# Each path starts with 8 spans of 4 Gauss-Legendre nodes; inaccurate spans are halved.
SPANS, STEPS = 8, 4
# The first spans after nine halvings
SHORTEST = 2.0**-12
# More rows at once would take over four times the memory of one pass at 64 images.
MAX_BATCH = 64
# `leggauss` integrates over [-1, 1]; spans are scaled from [0, 1].
NODES, WEIGHTS = (np.polynomial.legendre.leggauss(STEPS)[0] + 1) / 2, np.polynomial.legendre.leggauss(STEPS)[1] / 2


def integrate_rows(
    context: ExplanationContext, targets: Sequence[Target] = (), most_steps: int = MAX_STEPS
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Compute attributions (N, …) by field for the N rows of a context, and the completeness error of each row, (N,).

    Integrated Gradients (Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365) divides the path into equal steps;
    here, the steps are adaptive. F is known at both ends of a span, so the error of each span is known, and only
    inaccurate spans are halved and measured again. N is at most `context.rows`. The error is relative to
    F(x) − F(baseline), and 0 if there is nothing to attribute. `targets` are the targets of the rows if they differ.
    """
    paths = _RowPaths(context, targets)
    spans, parts = integrate(paths, paths.count, SPANS, most_steps // STEPS, SHORTEST)
    return _to_fields(context, paths.summed(spans, parts)), paths.relative_errors(spans, parts)


class _RowPaths:
    """The paths of N rows from the baseline to the example, and the integration rule along them."""

    def __init__(self, context: ExplanationContext, targets: Sequence[Target]) -> None:
        self.context, self.inputs = context, context.inputs
        self.targets = list(targets)
        self.values = tuple(point.value for point in context.points)
        self.grounds = tuple(point.baseline.expand_as(point.value) for point in context.points)
        self.count = len(self.values[0])
        rows = np.arange(self.count)
        baseline_scores, scores = (self._scores(rows, np.full(self.count, end)) for end in (0.0, 1.0))
        # F by row and position on its path, from 0 to 1.
        self.known = {
            (row, end): score
            for end, end_scores in ((0.0, baseline_scores), (1.0, scores))
            for row, score in enumerate(end_scores)
        }
        self.gap = scores - baseline_scores
        self.floor = TINY * np.maximum(1.0, np.maximum(abs(scores), abs(baseline_scores)))
        self.tolerances = np.maximum(TOLERANCE * abs(self.gap), self.floor)

    def measure(self, spans: Spans) -> Values:
        """Compute (x − b) times the integral of the gradient along spans, (spans, …), with Gauss-Legendre
        quadrature."""
        batch = max(1, min(self.context.rows, MAX_BATCH) // STEPS)
        self.context.expect_rows(len(spans) * STEPS)
        integrals: list[Values] = []
        for start in range(0, len(spans), batch):
            chunk = spans.take(np.arange(start, min(start + batch, len(spans))))
            shares = (chunk.low[:, None] + chunk.lengths[:, None] * NODES).ravel()
            values = tuple(value.requires_grad_() for value in self._at(np.repeat(chunk.rows, STEPS), shares))
            gradients = torch.autograd.grad(self.context.point_score(*values).sum(), values)
            weights = torch.from_numpy(chunk.lengths[:, None] * WEIGHTS).float()  # (spans, STEPS)
            # (spans · STEPS, …) -> (spans, STEPS, …) -> (spans, …)
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
        """Return the error of each span, (spans,), 0 in converged rows, and the error allowed in each row, (N,)."""
        changes = _sums(values)
        # With NaN the comparison is False, so a row with a NaN sum never counts as converged.
        span_errors = np.where((self._delta(spans, changes) <= self.tolerances)[spans.rows], 0.0, np.nan)
        unconverged = np.flatnonzero(np.isnan(span_errors))
        span_errors[unconverged] = abs(changes[unconverged] - self._rises(spans.take(unconverged)))
        return span_errors, self.tolerances / 2

    def summed(self, spans: Spans, parts: Values) -> Values:
        """Sum the spans of each row to attributions at each point, (N, …), in double precision."""
        rows = torch.from_numpy(spans.rows)
        return tuple(
            torch.zeros(value.shape, dtype=torch.float64).index_add_(0, rows, part.double())
            for value, part in zip(self.values, parts, strict=True)
        )

    def relative_errors(self, spans: Spans, parts: Values) -> np.ndarray:
        """Return the completeness error of each row, (N,), relative to its change of F."""
        delta, gap = self._delta(spans, _sums(parts)), abs(self.gap)
        errors: np.ndarray = np.where(np.maximum(gap, delta) <= self.floor, 0.0, delta / np.maximum(gap, 1e-12))
        return errors

    def _delta(self, spans: Spans, changes: np.ndarray) -> np.ndarray:
        delta: np.ndarray = abs(np.bincount(spans.rows, changes, self.count) - self.gap)
        return delta

    def _rises(self, spans: Spans) -> np.ndarray:
        """Return the change of F along spans, (spans,)."""
        lows, highs = (list(zip(spans.rows.tolist(), ends.tolist(), strict=True)) for ends in (spans.low, spans.high))
        if missing := [position for position in dict.fromkeys([*lows, *highs]) if position not in self.known]:
            rows, shares = (np.array(part) for part in zip(*missing, strict=True))
            self.known.update(zip(missing, self._scores(rows, shares), strict=True))
        return np.array([self.known[high] - self.known[low] for low, high in zip(lows, highs, strict=True)])

    def _at(self, rows: np.ndarray, shares: np.ndarray) -> Values:
        """Return the values at positions from 0 to 1 on the paths of rows, and load these rows into the context."""
        row_index, share = torch.from_numpy(rows), torch.from_numpy(shares).float()
        self.context.inputs = {name: value[row_index] for name, value in self.inputs.items()}
        self.context.targets = [self.targets[row] for row in rows.tolist()] if self.targets else []
        values = []
        for value, baseline in zip(self.values, self.grounds, strict=True):
            fraction = share.reshape(-1, *[1] * (value.ndim - 1))
            values.append(baseline[row_index] * (1 - fraction) + value[row_index] * fraction)  # exact at both ends
        return tuple(values)

    def _scores(self, rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Compute F at positions on the paths, (positions,)."""
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
    """Sum the attributions of each span, (spans,)."""
    sums: np.ndarray = torch.stack([part.flatten(1).sum(1, dtype=torch.float64) for part in parts]).sum(0).numpy()
    return sums


def _to_fields(context: ExplanationContext, values: Values) -> dict[str, np.ndarray]:
    """Convert values at the points to fields for each row; embedding vectors of tokens are summed."""
    count = len(values[0])
    fields = {name: np.zeros((count, *spec.shape)) for name, spec in context.specs.items()}
    for point, value in zip(context.points, values, strict=True):
        fields[point.field] += (value if point.embedding is None else value.flatten(2).sum(2)).numpy()
    return fields
