"""KernelSHAP: Shapley values by weighted linear regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, BaselineExplainer, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext

# This many samples per group leave a standard error of 10% to 20% of the total, measured on small networks.
SAMPLES_PER_GROUP = 48
# With fewer samples per group, the regression is underdetermined.
MIN_SAMPLES_PER_GROUP = 3


class KernelShap(BaselineExplainer):
    """A linear model of the score over coalitions of groups, weighted by the Shapley kernel.

    The paper weights the samples of the regression; here, coalitions are drawn from the kernel, in pairs with their
    complements, and the fit is unweighted (Covert and Lee 2020, https://arxiv.org/abs/2012.01536).
    """

    name = "kernel_shap"
    title = "KernelSHAP"
    summary = "Shapley values by a weighted linear regression on coalitions of features"
    url = "https://arxiv.org/abs/1705.07874"
    group = SHAPLEY
    is_complete = True
    complete_by_construction = True

    groups: int = Field(49, ge=1, le=512, description="Maximum number of groups of neighboring features")
    samples: int = Field(
        0,
        ge=0,
        le=65536,
        description="Number of coalitions; 0: chosen by the cost of the network; at least 3 for each group",
    )

    def run(self, context: ExplanationContext) -> Result:
        from netloom.explain.attribution.shapley.shapley_values import MAX_GROUPS, shapley_values
        from netloom.explain.core.estimation.groups import FeatureGroups
        from netloom.explain.core.estimation.sampling import (
            FLOP_BUDGET,
            REPEATS,
            combine_estimates,
            generator,
            kernel_coalitions,
            score_all_coalitions,
        )

        groups = FeatureGroups(context, self.groups)
        sample_count = self.samples or int(min(SAMPLES_PER_GROUP * groups.count, FLOP_BUDGET // max(1, context.flops)))
        if groups.count < 2:
            return Result(groups.to_fields(_single_group_value(context, groups.count)), enumerated=True)
        if groups.count <= MAX_GROUPS and 2**groups.count <= sample_count:
            # Fitted to all coalitions, the weights of the linear model are the exact Shapley values.
            context.expect_rows(2**groups.count)
            return Result(groups.to_fields(shapley_values(score_all_coalitions(groups), groups.count)), enumerated=True)
        samples_per_repeat = max(MIN_SAMPLES_PER_GROUP * groups.count, -(-sample_count // REPEATS))
        context.expect_rows(samples_per_repeat * REPEATS + 2)
        end_scores = groups.score(torch.stack([torch.zeros(groups.count), torch.ones(groups.count)])).double().numpy()
        estimates = []
        for repeat in range(REPEATS):
            coalitions = kernel_coalitions(groups.count, samples_per_repeat, generator(context.seed, repeat))
            scores = groups.score(coalitions).double().numpy()
            estimates.append(
                groups.to_fields(
                    fit_shapley_regression(coalitions.double().numpy(), scores, end_scores[0], end_scores[1])
                )
            )
        repeats, mean = combine_estimates(estimates)
        return Result(mean, samples_per_repeat * REPEATS, repeats=repeats)


def fit_shapley_regression(
    coalitions: np.ndarray, scores: np.ndarray, empty_score: float, full_score: float
) -> np.ndarray:
    """Fit a linear model to scores (N,) of coalitions (N, groups), and return its weights (groups,).

    Coalitions are drawn from the Shapley kernel, so the fit is unweighted. The model equals `empty_score` for the empty
    and `full_score` for the full coalition.
    """
    gap = full_score - empty_score
    # Completeness is a constraint: the last weight is the gap minus all others, so it is eliminated.
    contrasts = coalitions[:, :-1] - coalitions[:, -1:]
    weights = np.linalg.lstsq(contrasts, scores - empty_score - coalitions[:, -1] * gap, rcond=None)[0]
    return np.append(weights, gap - weights.sum())


def _single_group_value(context: ExplanationContext, count: int) -> np.ndarray:
    """Return the whole change of the score for a single group, (count,)."""
    change = float(context.score(context.inputs)) - float(context.score(context.baseline))
    return np.full(count, change)
