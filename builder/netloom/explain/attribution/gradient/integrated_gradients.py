"""Integrated Gradients, with steps doubled until completeness is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from netloom.explain.core.estimation.quadrature import FIRST_STEPS, TINY, TOLERANCE, double_until
from netloom.explain.core.explainer import PathExplainer, Result

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.context import ExplanationContext


class IntegratedGradients(PathExplainer):
    """(x − b) times the mean gradient along the straight path from the baseline b to the example x.

    The paper uses a fixed number of equal steps. Here, Captum places Gauss-Legendre nodes, and their number is doubled
    until the completeness error is at most 1%, unless `n_steps` is given.
    """

    name = "integrated_gradients"
    title = "Integrated Gradients"
    summary = "How much each feature adds to the score on the path from the baseline to the example; complete"
    requirements = ("gradients", "smooth_path")
    url = "https://arxiv.org/abs/1703.01365"
    is_complete = True

    max_steps: int = Field(
        1024, ge=1, le=4096, description="Maximum number of steps; they are doubled until completeness is reached"
    )

    def run(self, context: ExplanationContext) -> Result:
        from captum.attr import IntegratedGradients as Captum

        points = context.points
        values, baselines = tuple(point.value for point in points), tuple(point.baseline for point in points)
        score, baseline_score = float(context.score(context.inputs)), context.baseline_score
        tolerance = max(TOLERANCE * abs(score - baseline_score), TINY * max(1.0, abs(score), abs(baseline_score)))
        method = Captum(context.point_score)

        def attribute(steps: int) -> tuple[torch.Tensor, ...]:
            context.expect_rows(steps)
            attributions: tuple[torch.Tensor, ...] = method.attribute(
                values, baselines=baselines, n_steps=steps, internal_batch_size=context.rows
            )
            return attributions

        def is_complete(attributions: tuple[torch.Tensor, ...]) -> bool:
            # `<=` would be False for NaN and double the steps in vain.
            return (
                not abs(sum(float(value.double().sum()) for value in attributions) - (score - baseline_score))
                > tolerance
            )

        attributions, steps = double_until(
            attribute, is_complete, self.n_steps or FIRST_STEPS, self.n_steps or self.max_steps
        )
        return Result(context.to_fields(attributions), steps, baseline_score=baseline_score)
