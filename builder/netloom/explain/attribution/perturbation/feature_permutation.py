"""Feature permutation: replace a group of features by its values in other training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from netloom.explain.core.explainer import PERTURBATION, Explainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class FeaturePermutation(Explainer):
    """F(x) minus the mean of F(x with the group of another training row).

    The paper permutes a feature in all rows and measures the error of the model; here, one example and its score are
    explained.
    """

    name = "feature_permutation"
    title = "Feature permutation"
    summary = "How far the score falls when a group of features comes from other rows; needs no baseline"
    url = "https://link.springer.com/article/10.1023/A:1010933404324"
    group = PERTURBATION
    is_summable = False

    groups: int = Field(64, ge=1, le=1024, description="Maximum number of groups of neighboring features")
    others: int = Field(32, ge=2, le=256, description="Number of other rows that each group is taken from")

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import FeaturePermutation as Captum

        from netloom.explain.core.estimation.groups import FeatureGroups
        from netloom.explain.core.estimation.sampling import combine_estimates

        groups = FeatureGroups(context, self.groups)
        train = context.data.split["train"]
        row_numbers = train[
            torch.randperm(len(train), generator=torch.Generator().manual_seed(context.seed))[: self.others]
        ]
        count = len(row_numbers)
        context.expect_rows((groups.count + 1) * count)
        other_rows = {name: context.data.inputs[name][row_numbers] for name in context.specs}

        def score(present: torch.Tensor) -> torch.Tensor:
            # Captum evaluates several groups per call, so the other rows are repeated for each of them.
            rows = {
                name: value.repeat(len(present) // count, *[1] * (value.ndim - 1)) for name, value in other_rows.items()
            }
            return groups.score(present, rows).double()

        # A removed group takes the values of the other row, which `score` passes as the baseline.
        method = Captum(score, perm_func=lambda values, group: torch.where(group, 0.0, values))
        all_present = groups.all_present.expand(count, -1)
        effects = method.attribute(all_present, perturbations_per_eval=max(1, groups.rows // count)).double().numpy()
        repeats, mean = combine_estimates([groups.to_fields(row_effects) for row_effects in effects])
        text = f"Each group was taken from {len(row_numbers)} other rows; the attributions are not meant to add up."
        return Result(mean, baseline=f"{count} other training rows", repeats=repeats, remarks=(Remark("good", text),))
