"""Exact Shapley values of a few groups."""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, Comparing, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject

MOST = 12


class Shapley(Comparing):
    """Every choice of groups is tried once, 2^groups of them; Captum's own way tries every order."""

    name = "shapley"
    title = "Shapley values"
    summary = "The average contribution of each group of features over all orders; exact, for few groups"
    url = "https://doi.org/10.1515/9781400881970-018"
    group = SHAPLEY
    adds_up = True

    groups: int = Field(
        9, ge=1, le=MOST, description="Maximum number of groups of neighboring features; each one doubles the time"
    )

    def run(self, subject: Subject) -> Result:
        from netloom.explain.core.groups import Groups
        from netloom.explain.core.sampling import every_coalition

        parts = Groups(subject, self.groups)
        subject.expect(2**parts.count)
        return Result(parts.spread(values(every_coalition(parts), parts.count)), enumerated=True)


def values(worth: np.ndarray, count: int) -> np.ndarray:
    """The Shapley values (count,) of a game: `worth` (2^count,) of each coalition, its bits saying who takes part."""
    every = np.arange(2**count)
    sizes = ((every[:, None] >> np.arange(count)) & 1).sum(1)
    found = np.zeros(count)
    for player in range(count):
        without = every[(every >> player) & 1 == 0]
        size = sizes[without]
        weight = np.array([factorial(int(n)) * factorial(count - int(n) - 1) for n in size]) / factorial(count)
        found[player] = float(weight @ (worth[without | (1 << player)] - worth[without]))
    return found
