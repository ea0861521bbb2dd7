"""Exact Shapley values of a few feature groups."""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, BaselineExplainer, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext

# The largest number of groups whose coalitions are enumerated: 2^12 = 4,096 evaluations of the network
MAX_GROUPS = 12


class Shapley(BaselineExplainer):
    """Exact Shapley values from all 2^groups coalitions; Captum's ShapleyValues enumerates all orders instead."""

    name = "shapley"
    title = "Shapley values"
    summary = "The average contribution of each group of features over all orders; exact, for few groups"
    url = "https://doi.org/10.1515/9781400881970-018"
    group = SHAPLEY
    is_complete = True

    groups: int = Field(
        9,
        ge=1,
        le=MAX_GROUPS,
        description="Maximum number of groups of neighboring features; each one doubles the time",
    )

    def run(self, context: ExplanationContext) -> Result:
        from netloom.explain.core.estimation.groups import FeatureGroups
        from netloom.explain.core.estimation.sampling import score_all_coalitions

        groups = FeatureGroups(context, self.groups)
        context.expect_rows(2**groups.count)
        return Result(groups.to_fields(shapley_values(score_all_coalitions(groups), groups.count)), enumerated=True)


def shapley_values(worth: np.ndarray, count: int) -> np.ndarray:
    """Compute the Shapley values (count,) of a game.

    `worth` (2^count,) holds the value of each coalition, whose bits are its members.
    """
    coalitions = np.arange(2**count)
    sizes = ((coalitions[:, None] >> np.arange(count)) & 1).sum(1)
    values = np.zeros(count)
    for player in range(count):
        without = coalitions[(coalitions >> player) & 1 == 0]
        size = sizes[without]
        # |S|! (n − |S| − 1)! / n!: the share of orders in which exactly the coalition S precedes the player.
        weight = np.array([factorial(int(n)) * factorial(count - int(n) - 1) for n in size]) / factorial(count)
        values[player] = float(weight @ (worth[without | (1 << player)] - worth[without]))
    return values
