"""LIME: a linear surrogate model of the score around the example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, BaselineExplainer, Result
from netloom.explain.core.explanation import Level, Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext

LEAST, EACH = 5, 48
# The R² from which the surrogate fits well, and from which it fits somewhat.
FITS, FITS_SOMEWHAT = 0.8, 0.5


class Lime(BaselineExplainer):
    """A ridge regression of the score on the presence of feature groups.

    Samples closer to the example have more weight. The paper first selects a few features with Lasso; here, every group
    keeps its weight. The groups are tiles, columns, steps or tokens rather than superpixels.
    """

    name = "lime"
    title = "LIME"
    summary = "A linear surrogate model fitted around this example, with its goodness of fit"
    url = "https://arxiv.org/abs/1602.04938"
    group = SHAPLEY
    is_summable = False

    groups: int = Field(49, ge=1, le=512, description="Maximum number of groups of neighboring features")
    samples: int = Field(
        0,
        ge=0,
        le=65536,
        description="Number of perturbed samples; 0: chosen by the cost of the network; at least 5 for each group",
    )
    width: float = Field(0.5, gt=0, le=10, description="Kernel width: smaller values weight similar samples more")

    def run(self, context: ExplanationContext) -> Result:
        from sklearn.linear_model import Ridge

        from netloom.explain.core.estimation.groups import FeatureGroups
        from netloom.explain.core.estimation.sampling import FLOP_BUDGET, REPEATS, combine_estimates, generator

        groups = FeatureGroups(context, self.groups)
        sample_count = self.samples or int(min(EACH * groups.count, FLOP_BUDGET // max(1, context.flops)))
        samples_per_repeat = max(LEAST * groups.count, -(-sample_count // REPEATS), 2)
        context.expect_rows(samples_per_repeat * REPEATS)
        estimates, samples = [], []
        for repeat in range(REPEATS):
            coalitions = torch.randint(
                0, 2, (samples_per_repeat, groups.count), generator=generator(context.seed, repeat)
            )
            scores = groups.score(coalitions).double()
            # The distance is divided by the number of groups, so that the kernel width does not depend on it.
            similarities = torch.exp((coalitions - 1).square().sum(1).double() / (-2 * self.width**2 * groups.count))
            surrogate = Ridge(alpha=1e-3).fit(coalitions.numpy(), scores.numpy(), sample_weight=similarities.numpy())
            estimates.append(torch.from_numpy(surrogate.coef_))
            samples.append((coalitions.double(), scores, similarities))
        weights = torch.stack(estimates).mean(0)
        remark = _goodness_of_fit(*map(torch.cat, zip(*samples, strict=True)), weights=weights)
        repeats, mean = combine_estimates([groups.to_fields(estimate.numpy()) for estimate in estimates])
        return Result(mean, samples_per_repeat * REPEATS, repeats=repeats, remarks=(remark,))


def _goodness_of_fit(
    coalitions: torch.Tensor, scores: torch.Tensor, similarities: torch.Tensor, *, weights: torch.Tensor
) -> Remark:
    """Judge the weighted R² of the surrogate.

    `coalitions` are (N, groups), `scores` and `similarities` (N,), and `weights` (groups,).
    """
    from sklearn.metrics import r2_score

    predicted = coalitions @ weights
    # The intercept of the averaged surrogate is its weighted mean residual.
    predicted = predicted + similarities @ (scores - predicted) / similarities.sum()
    r_squared = float(r2_score(scores, predicted, sample_weight=similarities))
    level: Level = "good" if r_squared >= FITS else "caution" if r_squared >= FITS_SOMEWHAT else "poor"
    text = (
        f"The surrogate model explains {max(0.0, r_squared):.0%} of the variance of the score around the example (R²)."
    )
    return Remark(level, text, "fit")
