"""Feature ablation: take away one group of parts after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from netloom.explain.core.explainer import PERTURBATION, Comparing, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


class FeatureAblation(Comparing):
    """F(x) − F(x without the group), for each group alone; groups do not overlap."""

    name = "feature_ablation"
    title = "Feature ablation"
    summary = "How far the score falls when each group of features is replaced by the baseline"
    url = "https://captum.ai/api/feature_ablation.html"
    group = PERTURBATION

    groups: int = Field(64, ge=1, le=1024, description="Maximum number of groups of neighboring features")

    def run(self, subject: Subject) -> Result:
        from captum.attr import FeatureAblation as Captum

        from netloom.explain.core.groups import Groups

        parts = Groups(subject, self.groups)
        subject.expect(parts.count + 1)
        found = Captum(parts.score).attribute(parts.everything, perturbations_per_eval=parts.rows)
        return Result(parts.spread(found[0].double().numpy()))
