"""DeepLift: differences from the baseline, propagated back layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.core.explainer import BaselineExplainer, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class DeepLift(BaselineExplainer):
    """DeepLift with the rescale rule; Captum does not implement the RevealCancel rule of the paper.

    Networks for which the rule does not hold are rejected, because Captum would return wrong values without a warning.
    """

    name = "deep_lift"
    title = "DeepLift"
    summary = "Propagates the difference from the baseline back through the layers in one pass; complete"
    url = "https://arxiv.org/abs/1704.02685"
    requirements = ("gradients", "rescaled")
    is_complete = True

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import DeepLift as Captum

        from netloom.explain.core.context import ScoreModule
        from netloom.explain.core.library_warnings import mute_captum

        points = context.points
        values = tuple(point.value.clone().requires_grad_() for point in points)
        mute_captum()
        attributions = Captum(ScoreModule(context)).attribute(
            values, baselines=tuple(point.baseline for point in points)
        )
        return Result(context.to_fields(attributions), baseline_score=context.baseline_score)
