"""Shapley values by sampling orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, BaselineExplainer, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext

# Each order is paired with its reverse, and a standard error needs at least two pairs.
MIN_ORDERS = 4


class ShapleySampling(BaselineExplainer):
    """The marginal contribution of each group when it joins, averaged over random orders.

    The paper draws independent orders; here, each is followed by its reverse (see `paired_permutations`).
    """

    name = "shapley_sampling"
    title = "Shapley sampling"
    summary = "Shapley values estimated over random orders of the groups of features; slow"
    url = "https://doi.org/10.1016/j.cor.2008.04.004"
    group = SHAPLEY
    is_complete = True
    complete_by_construction = True

    groups: int = Field(49, ge=1, le=512, description="Maximum number of groups of neighboring features")
    orders: int = Field(0, ge=0, le=4096, description="Number of random orders; 0: chosen by the cost of the network")

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import ShapleyValueSampling as Captum

        from netloom.explain.attribution.shapley.shapley_values import MAX_GROUPS, shapley_values
        from netloom.explain.core.estimation.groups import FeatureGroups
        from netloom.explain.core.estimation.sampling import (
            FLOP_BUDGET,
            REPEATS,
            combine_estimates,
            paired_permutations,
            score_all_coalitions,
        )

        groups = FeatureGroups(context, self.groups)
        affordable_orders = FLOP_BUDGET // max(1, context.flops) // max(1, groups.count)
        order_count = self.orders or int(min(50, max(MIN_ORDERS, affordable_orders)))
        if (
            groups.count <= MAX_GROUPS and 2**groups.count <= order_count * groups.count
        ):  # enumeration is not more expensive
            context.expect_rows(2**groups.count)
            return Result(groups.to_fields(shapley_values(score_all_coalitions(groups), groups.count)), enumerated=True)
        context.expect_rows(order_count * groups.count + 2 * REPEATS)
        estimates, sizes = [], [2 * len(pairs) for pairs in np.array_split(np.arange(order_count // 2), REPEATS)]
        sizes[0] += order_count % 2
        sizes = [size for size in sizes if size]
        for repeat, size in enumerate(sizes):
            method = Captum(groups.score)
            method.permutation_generator = paired_permutations(context.seed, repeat)
            effects = method.attribute(
                groups.all_present, n_samples=size, perturbations_per_eval=min(groups.rows, groups.count)
            )
            estimates.append(groups.to_fields(effects[0].double().numpy()))
        repeats, mean = combine_estimates(estimates, sizes)
        return Result(mean, order_count, repeats=repeats)
