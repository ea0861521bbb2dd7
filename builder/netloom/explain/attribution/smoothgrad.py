"""SmoothGrad: the gradient, averaged over noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from netloom.explain.core.explainer import Explainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


class SmoothGrad(Explainer):
    """|mean of ∂F/∂x| over examples with noise, whose spread is the share `noise` of the values' own."""

    name = "smoothgrad"
    title = "SmoothGrad"
    summary = "The absolute gradient, averaged over noisy copies of the example"
    url = "https://arxiv.org/abs/1706.03825"
    needs = ("gradients",)
    signed = False
    sums = False

    samples: int = Field(32, ge=2, le=1024, description="Number of noisy copies")
    noise: float = Field(0.15, gt=0, le=2, description="Standard deviation of the noise as a share of the value range")

    def run(self, subject: Subject) -> Result:
        import torch
        from captum.attr import Saliency

        from netloom.explain.core.sampling import REPEATS, generator, repeated

        values = tuple(point.value.detach() for point in subject.points)
        spreads = tuple(max(1e-6, self.noise * float(value.max() - value.min())) for value in values)
        subject.expect(self.samples)
        # Captum's NoiseTunnel draws from the generator of the whole process.
        method, random = Saliency(subject.point_score), generator(subject.seed)
        estimates = []
        for size in map(len, np.array_split(np.arange(self.samples), min(REPEATS, self.samples))):
            total = tuple(torch.zeros_like(value) for value in values)
            for start in range(0, size, subject.rows):
                rows = min(subject.rows, size - start)
                noisy = tuple(
                    (value + spread * torch.randn(rows, *value.shape[1:], generator=random)).requires_grad_()
                    for value, spread in zip(values, spreads, strict=True)
                )
                found = method.attribute(noisy, abs=False)
                total = tuple(
                    sums + part.detach().sum(0, keepdim=True) for sums, part in zip(total, found, strict=True)
                )
            estimates.append((subject.fold(tuple(sums / size for sums in total)), size))
        repeats, mean = repeated([parts for parts, _ in estimates], [size for _, size in estimates])
        text = "SmoothGrad measures the sensitivity to small changes; the attributions are not meant to add up."
        parts = {name: np.abs(value) for name, value in mean.items()}
        return Result(parts, repeats=repeats, remarks=(Remark("good", text),))
