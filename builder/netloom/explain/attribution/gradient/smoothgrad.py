"""SmoothGrad: the gradient averaged over noisy copies of the example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from netloom.explain.core.explainer import Explainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class SmoothGrad(Explainer):
    """The absolute mean of ∂F/∂x over noisy copies.

    The standard deviation of the noise is the share `noise` of the value range of the input. The paper recommends 10%
    to 20%.
    """

    name = "smoothgrad"
    title = "SmoothGrad"
    summary = "The absolute gradient, averaged over noisy copies of the example"
    url = "https://arxiv.org/abs/1706.03825"
    requirements = ("gradients",)
    signed = False
    is_summable = False

    samples: int = Field(32, ge=2, le=1024, description="Number of noisy copies")
    noise: float = Field(0.15, gt=0, le=2, description="Standard deviation of the noise as a share of the value range")

    def run(self, context: ExplanationContext) -> Result:
        import torch
        from captum.attr import Saliency

        from netloom.explain.core.estimation.sampling import REPEATS, combine_estimates, generator

        values = tuple(point.value.detach() for point in context.points)
        noise_stds = tuple(max(1e-6, self.noise * float(value.max() - value.min())) for value in values)
        context.expect_rows(self.samples)
        # Captum's NoiseTunnel samples from the global generator, which concurrent explanations share.
        method, random = Saliency(context.point_score), generator(context.seed)
        estimates = []
        for size in map(len, np.array_split(np.arange(self.samples), min(REPEATS, self.samples))):
            total = tuple(torch.zeros_like(value) for value in values)
            for start in range(0, size, context.rows):
                rows = min(context.rows, size - start)
                noisy = tuple(
                    (value + spread * torch.randn(rows, *value.shape[1:], generator=random)).requires_grad_()
                    for value, spread in zip(values, noise_stds, strict=True)
                )
                gradients = method.attribute(noisy, abs=False)
                total = tuple(
                    sums + part.detach().sum(0, keepdim=True) for sums, part in zip(total, gradients, strict=True)
                )
            estimates.append((context.to_fields(tuple(sums / size for sums in total)), size))
        repeats, mean = combine_estimates([parts for parts, _ in estimates], [size for _, size in estimates])
        text = "SmoothGrad measures the sensitivity to small changes; the attributions are not meant to add up."
        # The magnitude follows the averaging, so that gradients of opposite sign cancel.
        parts = {name: np.abs(value) for name, value in mean.items()}
        return Result(parts, repeats=repeats, remarks=(Remark("good", text),))
