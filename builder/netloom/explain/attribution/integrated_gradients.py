"""Integrated Gradients, with as many steps as its sum needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from netloom.explain.core.explainer import Integrating, Result
from netloom.explain.core.quadrature import FIRST_STEPS, TINY, TOLERANCE, doubled

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.context import Subject


class IntegratedGradients(Integrating):
    """The gradients along the straight way from the baseline to the example, summed up."""

    name = "integrated_gradients"
    title = "Integrated Gradients"
    summary = "How much each feature adds to the score on the path from the baseline to the example; complete"
    needs = ("gradients", "smooth_path")
    url = "https://arxiv.org/abs/1703.01365"
    adds_up = True

    max_steps: int = Field(
        1024, ge=1, le=4096, description="Maximum number of steps; they are doubled until completeness is reached"
    )

    def run(self, subject: Subject) -> Result:
        from captum.attr import IntegratedGradients as Captum

        points = subject.points
        values, baselines = tuple(point.value for point in points), tuple(point.baseline for point in points)
        answer, ground = float(subject.score(subject.inputs)), subject.ground
        tolerable = max(TOLERANCE * abs(answer - ground), TINY * max(1.0, abs(answer), abs(ground)))
        method = Captum(subject.point_score)

        def attribute(steps: int) -> tuple[torch.Tensor, ...]:
            subject.expect(steps)
            found: tuple[torch.Tensor, ...] = method.attribute(
                values, baselines=baselines, n_steps=steps, internal_batch_size=subject.rows
            )
            return found

        def adds_up(found: tuple[torch.Tensor, ...]) -> bool:
            # Not "less or equal": a sum that is not a number has to end as well.
            return not abs(sum(float(value.double().sum()) for value in found) - (answer - ground)) > tolerable

        found, steps = doubled(attribute, adds_up, self.n_steps or FIRST_STEPS, self.n_steps or self.max_steps)
        return Result(subject.fold(found), steps, ground=ground)
