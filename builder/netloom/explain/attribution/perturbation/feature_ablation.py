"""Feature ablation: replace one group of features at a time by the baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from netloom.explain.core.explainer import PERTURBATION, BaselineExplainer, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class FeatureAblation(BaselineExplainer):
    """F(x) − F(x without the group) for each of the disjoint groups."""

    name = "feature_ablation"
    title = "Feature ablation"
    summary = "How far the score falls when each group of features is replaced by the baseline"
    url = "https://captum.ai/api/feature_ablation.html"
    group = PERTURBATION

    groups: int = Field(64, ge=1, le=1024, description="Maximum number of groups of neighboring features")

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import FeatureAblation as Captum

        from netloom.explain.core.estimation.groups import FeatureGroups

        groups = FeatureGroups(context, self.groups)
        context.expect_rows(groups.count + 1)
        effects = Captum(groups.score).attribute(groups.all_present, perturbations_per_eval=groups.rows)
        return Result(groups.to_fields(effects[0].double().numpy()))
