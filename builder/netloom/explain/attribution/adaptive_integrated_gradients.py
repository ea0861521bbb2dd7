"""Integrated Gradients of many rows at once, each in more steps only where its own way needs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from netloom.explain.attribution.integrated_gradients import TINY, TOLERANCE

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
    ways.begin()
    left = ways.left(np.arange(ways.count))
    ways.know_ends(left)
    while len(left):
        halved = [span for row in left for span in ways.worst(row, most_steps)]
        if not halved:
            break
        ways.halve(np.array(halved))
        left = ways.left(left)
    return _folded(subject, ways.summed()), ways.errors()


class _Ways:
    """The ways of N rows from the baseline to each. Arrays have a place for each span: which `rows` it is on, from
    `low` to `high`, F at its `ends` (S, 2), and its `parts` at each point, (S, …); a span that was halved is not
    `alive`."""

    def __init__(self, subject: Subject, targets: Sequence[Target]) -> None:
        self.subject, self.inputs = subject, subject.inputs
        self.targets = list(targets)
        self.values = tuple(point.value for point in subject.points)
        self.grounds = tuple(point.baseline.expand_as(point.value) for point in subject.points)
        self.count = len(self.values[0])
        each = np.arange(self.count)
        ends = [self._scores(each, np.full(self.count, end)) for end in (0.0, 1.0)]
        self.ground, self.answer = ends
        self.gap = self.answer - self.ground
        self.floor = TINY * np.maximum(1.0, np.maximum(abs(self.answer), abs(self.ground)))
        self.wanted = np.maximum(TOLERANCE * abs(self.gap), self.floor)

    def begin(self) -> None:
        """Go along all ways once, in spans of the same length."""
        self.rows = np.repeat(np.arange(self.count), SPANS)
        self.low = np.tile(np.arange(SPANS) / SPANS, self.count)
        self.high = self.low + 1 / SPANS
        self.alive = np.ones(len(self.rows), dtype=bool)
        self.parts = self._parts(self.rows, self.low, self.high)
        self.ends = np.full((len(self.rows), 2), np.nan)

    def left(self, rows: np.ndarray) -> np.ndarray:
        """Those of some rows whose parts do not add up yet; a sum that is no number never does."""
        found: np.ndarray = rows[~(self._delta()[rows] <= self.wanted[rows])]
        return found

    def know_ends(self, rows: np.ndarray) -> None:
        """Look up F between the first spans of some rows."""
        between = np.tile(np.arange(1, SPANS) / SPANS, len(rows))
        scores = self._scores(np.repeat(rows, SPANS - 1), between).reshape(len(rows), SPANS - 1)
        known = np.concatenate([self.ground[rows, None], scores, self.answer[rows, None]], axis=1)
        places = rows[:, None] * SPANS + np.arange(SPANS)
        self.ends[places] = np.stack([known[:, :-1], known[:, 1:]], axis=2)

    def worst(self, row: int, most_steps: int) -> np.ndarray:
        """The fewest spans of a row without which the others are near enough, as far as more steps are allowed."""
        mine: np.ndarray = np.nonzero(self.alive & (self.rows == row))[0]
        off = abs(self._change(mine) - (self.ends[mine, 1] - self.ends[mine, 0]))
        short = self.high[mine] - self.low[mine] <= SHORTEST
        # Where the answer jumps, no number of steps is enough; nor where it is no number.
        if not off[short].sum() <= self.wanted[row] or not np.isfinite(off).all():
            return mine[:0]
        off[short] = 0.0
        order = np.argsort(-off, kind="stable")
        rest = np.sqrt(np.maximum(0.0, np.square(off).sum() - np.cumsum(np.square(off[order]))))
        needed = int(np.argmax(rest <= self.wanted[row] / 2)) + 1
        chosen = mine[order[: max(0, min(needed, most_steps // STEPS - len(mine)))]]
        found: np.ndarray = chosen[self.high[chosen] - self.low[chosen] > SHORTEST]
        return found

    def halve(self, spans: np.ndarray) -> None:
        """Go over some spans again, as two halves each."""
        rows, low, high = self.rows[spans], self.low[spans], self.high[spans]
        middle = (low + high) / 2
        score = self._scores(rows, middle)
        self.alive[spans] = False
        self.rows = np.concatenate([self.rows, rows, rows])
        self.low, self.high = np.concatenate([self.low, low, middle]), np.concatenate([self.high, middle, high])
        self.alive = np.concatenate([self.alive, np.ones(2 * len(spans), dtype=bool)])
        ends = [np.stack(pair, axis=1) for pair in ((self.ends[spans, 0], score), (score, self.ends[spans, 1]))]
        self.ends = np.concatenate([self.ends, *ends])
        found = self._parts(*(np.concatenate(pair) for pair in ((rows, rows), (low, middle), (middle, high))))
        # What is gone over again is of no use any more, and may be large.
        kept, self.parts = self.parts, ()
        self.parts = tuple(torch.cat(pair) for pair in zip(kept, found, strict=True))
        del kept
        self._forget()

    def _forget(self) -> None:
        alive = torch.from_numpy(self.alive)
        self.parts = tuple(part[alive] for part in self.parts)
        self.rows, self.low, self.high = self.rows[self.alive], self.low[self.alive], self.high[self.alive]
        self.ends, self.alive = self.ends[self.alive], self.alive[self.alive]

    def summed(self) -> tuple[torch.Tensor, ...]:
        """The attributions at each point, (N, …), in double precision."""
        rows = torch.from_numpy(self.rows)
        return tuple(
            torch.zeros(value.shape, dtype=torch.float64).index_add_(0, rows, part.double())
            for value, part in zip(self.values, self.parts, strict=True)
        )

    def errors(self) -> np.ndarray:
        """How far the parts of each row are off, (N,), as a share of its change."""
        delta, gap = self._delta(), abs(self.gap)
        found: np.ndarray = np.where(np.maximum(gap, delta) <= self.floor, 0.0, delta / np.maximum(gap, 1e-12))
        return found

    def _delta(self) -> np.ndarray:
        change = np.zeros(self.count)
        np.add.at(change, self.rows, self._change(np.arange(len(self.rows))))
        found: np.ndarray = abs(change - self.gap)
        return found

    def _change(self, spans: np.ndarray) -> np.ndarray:
        """The sum of the parts of some spans, (S,)."""
        chosen = torch.from_numpy(spans)
        sums = [part[chosen].flatten(1).sum(1, dtype=torch.float64) for part in self.parts]
        found: np.ndarray = torch.stack(sums).sum(0).numpy()
        return found

    def _at(self, rows: np.ndarray, shares: np.ndarray) -> tuple[torch.Tensor, ...]:
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

    def _parts(self, rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[torch.Tensor, ...]:
        """(x − b) times the integral of the gradient along some spans, (S, …), by Gauss and Legendre."""
        at_once = max(1, min(self.subject.rows, AT_ONCE) // STEPS)
        self.subject.expect(len(rows) * STEPS)
        found: list[tuple[torch.Tensor, ...]] = []
        for start in range(0, len(rows), at_once):
            some = slice(start, start + at_once)
            length = high[some] - low[some]
            shares = (low[some, None] + length[:, None] * NODES).ravel()
            values = tuple(value.requires_grad_() for value in self._at(np.repeat(rows[some], STEPS), shares))
            gradients = torch.autograd.grad(self.subject.point_score(*values).sum(), values)
            weights = torch.from_numpy(length[:, None] * WEIGHTS).float()  # (S, STEPS)
            means = (
                torch.einsum("sk,sk...->s...", weights, gradient.reshape(-1, STEPS, *gradient.shape[1:]))
                for gradient in gradients
            )
            chosen = torch.from_numpy(rows[some])
            ways = ((value - ground)[chosen] for value, ground in zip(self.values, self.grounds, strict=True))
            found.append(tuple(mean * way for mean, way in zip(means, ways, strict=True)))
        self._back()
        return tuple(torch.cat(point) for point in zip(*found, strict=True))

    def _back(self) -> None:
        self.subject.inputs, self.subject.targets = self.inputs, self.targets


def _folded(subject: Subject, found: tuple[torch.Tensor, ...]) -> dict[str, np.ndarray]:
    """As `Subject.fold`, row by row: vectors of tokens are summed up."""
    count = len(found[0])
    folded = {name: np.zeros((count, *spec.shape)) for name, spec in subject.specs.items()}
    for point, value in zip(subject.points, found, strict=True):
        folded[point.field] += (value if point.entry is None else value.flatten(2).sum(2)).numpy()
    return folded
