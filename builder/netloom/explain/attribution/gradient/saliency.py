"""Saliency: the magnitude of the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.core.explainer import Explainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class Saliency(Explainer):
    """|∂F/∂x| at the example; for tokens, summed over the embedding dimension.

    The paper takes the maximum over the color channels; here, each channel keeps its own magnitude.
    """

    name = "saliency"
    title = "Saliency"
    summary = "The absolute gradient: how strongly the score reacts to a small change of each feature"
    requirements = ("gradients",)
    url = "https://arxiv.org/abs/1312.6034"
    signed = False
    is_summable = False

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import Saliency as Captum

        values = tuple(point.value.clone().requires_grad_() for point in context.points)
        gradients = Captum(context.point_score).attribute(values, abs=True)
        remark = "Saliency measures the sensitivity to small changes; the attributions are not meant to add up."
        return Result(context.to_fields(gradients), remarks=(Remark("good", remark),))
