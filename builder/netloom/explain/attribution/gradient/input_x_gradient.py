"""Input × gradient: the value of each feature times the gradient of the score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.core.explainer import Explainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class InputXGradient(Explainer):
    """x · ∂F/∂x at the example; for tokens, summed over the embedding dimension."""

    name = "input_x_gradient"
    title = "Input × Gradient"
    summary = "The gradient times the value of each feature; fast, and exact for linear networks"
    url = "https://arxiv.org/abs/1605.01713"
    requirements = ("gradients",)
    is_summable = False

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import InputXGradient as Captum

        values = tuple(point.value.clone().requires_grad_() for point in context.points)
        attributions = Captum(context.point_score).attribute(values)
        remark = "The gradient is valid for small changes only, so the attributions need not add up to the score."
        return Result(context.to_fields(attributions), remarks=(Remark("good", remark),))
