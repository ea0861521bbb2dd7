"""GradientSHAP: gradients between the example and rows of the training split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from builder.explain.base import GAMES, Explainer, Result

if TYPE_CHECKING:
    from builder.explain.subject import Subject

TOLERANCE = 0.01
# With fewer, the sum may be right by chance.
FEWEST = 256


class GradientShap(Explainer):
    """(x − b) · ∂F/∂x at random places between x and random rows b, averaged until the parts add up."""

    name = "gradient_shap"
    title = "GradientSHAP"
    summary = "What sets this example apart from others of the training data, by gradients on the way to them"
    url = "https://arxiv.org/abs/1705.07874"
    group = GAMES
    needs = ("gradients", "smooth_path")
    adds_up = True

    references: int = Field(20, ge=1, le=512, description="How many rows of the training split stand for nothing")
    max_samples: int = Field(2048, ge=1, le=16384, description="Samples are added up to here until the parts add up")

    def run(self, subject: Subject) -> Result:
        from captum.attr._core.gradient_shap import InputBaselineXGradient

        from builder.explain.alone import alone

        values, grounds = tuple(point.value for point in subject.points), subject.references(self.references)
        ground, answer = float(subject.scores_of(grounds).double().mean()), float(subject.score(subject.inputs))
        # Captum's GradientShap draws the rows; taking each as often as the others halves the noise and more.
        method, count = InputBaselineXGradient(subject.point_score), len(grounds[0])
        again = max(1, min(subject.rows, self.max_samples) // count)
        grounds = tuple(rows.repeat(again, *[1] * (rows.ndim - 1)) for rows in grounds)
        given = tuple(value.expand_as(rows) for value, rows in zip(values, grounds, strict=True))
        total, taken = tuple(torch.zeros_like(value) for value in values), 0
        subject.expect(self.max_samples)
        with alone(subject.seed):
            while taken < self.max_samples:
                found = method.attribute(given, baselines=grounds)
                total = tuple(
                    sums + rows.detach().sum(0, keepdim=True) for sums, rows in zip(total, found, strict=True)
                )
                taken += count * again
                reached = sum(float(value.double().sum()) for value in total) / taken
                # Not "greater": a delta that is no number has to end as well.
                if taken >= FEWEST and not abs(reached - (answer - ground)) > TOLERANCE * abs(answer - ground):
                    break
        parts = subject.fold(tuple(value / taken for value in total))
        return Result(parts, taken, ground=ground)
