"""SmoothGrad: the gradient, averaged over noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from builder.explain.base import Explainer, Result
from builder.explain.explanation import Remark

if TYPE_CHECKING:
    from builder.explain.subject import Subject


class SmoothGrad(Explainer):
    """|mean of ∂F/∂x| over examples with noise, whose spread is the share `noise` of the values' own."""

    name = "smoothgrad"
    title = "SmoothGrad"
    summary = "The size of the gradient, averaged over many slightly different examples to quiet its noise"
    url = "https://arxiv.org/abs/1706.03825"
    needs = ("gradients",)
    signed = False
    sums = False

    samples: int = Field(32, ge=2, le=1024, description="How many noisy examples are averaged")
    noise: float = Field(0.15, gt=0, le=2, description="The noise as a share of the range of the values")

    def run(self, subject: Subject) -> Result:
        from captum.attr import NoiseTunnel, Saliency

        from builder.explain.alone import alone

        values = tuple(point.value.clone().requires_grad_() for point in subject.points)
        spreads = tuple(max(1e-6, self.noise * float(value.detach().max() - value.detach().min())) for value in values)
        subject.expect(self.samples)
        with alone(subject.seed):
            found = NoiseTunnel(Saliency(subject.point_score)).attribute(
                values,
                nt_type="smoothgrad",
                nt_samples=self.samples,
                nt_samples_batch_size=min(subject.rows, self.samples),
                stdevs=spreads,
                abs=False,
            )
        parts = {name: np.abs(value) for name, value in subject.fold(found).items()}
        text = "It tells how the answer reacts to small changes; its parts are not meant to add up to it."
        return Result(parts, remarks=(Remark("good", text),))
