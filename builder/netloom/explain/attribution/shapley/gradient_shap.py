"""GradientSHAP: expected gradients between the example and training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, Explainer, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext

TOLERANCE = 0.01
# With fewer samples, the sum may be close to the score by chance.
MIN_SAMPLES = 256


class GradientShap(Explainer):
    """(x − b) · ∂F/∂x at random points between x and training rows b, averaged until the attributions are complete.

    These are the expected gradients of Erion et al. 2021 (https://arxiv.org/abs/1906.10670). SHAP and Captum draw the
    rows at random and can add noise to the example; here, every row is used equally often, without noise.
    """

    name = "gradient_shap"
    title = "GradientSHAP"
    summary = "Gradients between the example and training rows, which approximate Shapley values; complete"
    url = "https://arxiv.org/abs/1705.07874"
    group = SHAPLEY
    requirements = ("gradients", "smooth_path")
    is_complete = True

    references: int = Field(128, ge=1, le=512, description="Number of training rows used as baselines")
    max_samples: int = Field(
        2048, ge=1, le=16384, description="Maximum number of samples; fewer if completeness is reached earlier"
    )

    def run(self, context: ExplanationContext) -> Result:
        from netloom.explain.core.estimation.sampling import combine_estimates, generator, split_rows

        values, baselines = tuple(point.value for point in context.points), context.training_samples(self.references)
        baseline_score, score = (
            float(context.point_scores(baselines).double().mean()),
            float(context.score(context.inputs)),
        )
        # Captum's GradientShap samples the rows, from the global generator; using every row equally often removes more
        # than half of the noise.
        random, count = generator(context.seed), len(baselines[0])
        repeats_per_row = max(1, min(context.rows, self.max_samples) // count)
        shares = split_rows(count)
        # The sum over the rows of each share, one row per share.
        totals = tuple(torch.zeros(len(shares), *value.shape[1:]) for value in values)
        drawn = 0
        context.expect_rows(self.max_samples)
        while drawn < self.max_samples:
            attributions = _expected_gradients(context, values, baselines, repeats_per_row, random)
            totals = tuple(
                sums + torch.stack([rows[share].sum(0) for share in shares])
                for sums, rows in zip(totals, attributions, strict=True)
            )
            drawn += count * repeats_per_row
            total = sum(float(value.double().sum()) for value in totals) / drawn
            # With NaN the comparison is False, so the loop ends.
            if drawn >= MIN_SAMPLES and not abs(total - (score - baseline_score)) > TOLERANCE * abs(
                score - baseline_score
            ):
                break
        rounds = drawn // count
        estimates = [
            context.to_fields(tuple(sums[index : index + 1] / (rounds * len(share)) for sums in totals))
            for index, share in enumerate(shares)
        ]
        repeats, parts = combine_estimates(estimates, [len(share) for share in shares])
        return Result(parts, drawn, baseline_score=baseline_score, baseline=f"{count} training rows", repeats=repeats)


def _expected_gradients(
    context: ExplanationContext,
    values: tuple[torch.Tensor, ...],
    baselines: tuple[torch.Tensor, ...],
    repeats_per_row: int,
    random: torch.Generator,
) -> tuple[torch.Tensor, ...]:
    """Compute (x − b) · ∂F/∂x at random points between x and each row b, (rows, …), summed over `repeats_per_row`
    points."""
    count = len(baselines[0])
    share = torch.rand(repeats_per_row * count, generator=random)
    points = []
    for value, rows in zip(values, baselines, strict=True):
        fraction = share.reshape(-1, *[1] * (value.ndim - 1))
        repeated = rows.repeat(repeats_per_row, *[1] * (rows.ndim - 1))
        points.append((repeated + fraction * (value - repeated)).requires_grad_())
    gradients = torch.autograd.grad(context.point_score(*points).sum(), points)
    return tuple(
        (value - rows) * gradient.reshape(repeats_per_row, count, *gradient.shape[1:]).sum(0)
        for value, rows, gradient in zip(values, baselines, gradients, strict=True)
    )
