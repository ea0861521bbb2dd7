"""GradientSHAP: gradients between the example and rows of the training split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, Explainer, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject

TOLERANCE = 0.01
# With fewer, the sum may be right by chance.
FEWEST = 256


class GradientShap(Explainer):
    """(x − b) · ∂F/∂x at random places between x and random rows b, averaged until the parts add up."""

    name = "gradient_shap"
    title = "GradientSHAP"
    summary = "Gradients between the example and training rows, which approximate Shapley values; complete"
    url = "https://arxiv.org/abs/1705.07874"
    group = SHAPLEY
    needs = ("gradients", "smooth_path")
    adds_up = True

    references: int = Field(128, ge=1, le=512, description="Number of training rows used as baselines")
    max_samples: int = Field(
        2048, ge=1, le=16384, description="Maximum number of samples; fewer if completeness is reached earlier"
    )

    def run(self, subject: Subject) -> Result:
        from netloom.explain.core.sampling import generator, repeated, shares_of

        values, grounds = tuple(point.value for point in subject.points), subject.references(self.references)
        ground, answer = float(subject.scores_of(grounds).double().mean()), float(subject.score(subject.inputs))
        # Captum's GradientShap draws the rows, from the generator of the whole process; taking each row as often as the
        # others halves the noise and more.
        random, count = generator(subject.seed), len(grounds[0])
        again = max(1, min(subject.rows, self.max_samples) // count)
        shares = shares_of(count)
        # What the rows of each share add, as one row.
        totals = tuple(torch.zeros(len(shares), *value.shape[1:]) for value in values)
        taken = 0
        subject.expect(self.max_samples)
        while taken < self.max_samples:
            found = _between(subject, values, grounds, again, random)
            totals = tuple(
                sums + torch.stack([rows[share].sum(0) for share in shares])
                for sums, rows in zip(totals, found, strict=True)
            )
            taken += count * again
            reached = sum(float(value.double().sum()) for value in totals) / taken
            # Not "greater": a delta that is no number has to end as well.
            if taken >= FEWEST and not abs(reached - (answer - ground)) > TOLERANCE * abs(answer - ground):
                break
        rounds = taken // count
        estimates = [
            subject.fold(tuple(sums[place : place + 1] / (rounds * len(share)) for sums in totals))
            for place, share in enumerate(shares)
        ]
        repeats, parts = repeated(estimates, [len(share) for share in shares])
        return Result(parts, taken, ground=ground, compared=f"{count} training rows", repeats=repeats)


def _between(
    subject: Subject,
    values: tuple[torch.Tensor, ...],
    grounds: tuple[torch.Tensor, ...],
    again: int,
    random: torch.Generator,
) -> tuple[torch.Tensor, ...]:
    """(x − b) · ∂F/∂x at random places between x and each row b, (rows, …), summed over `again` places for each row."""
    count = len(grounds[0])
    share = torch.rand(again * count, generator=random)
    places = []
    for value, rows in zip(values, grounds, strict=True):
        along = share.reshape(-1, *[1] * (value.ndim - 1))
        many = rows.repeat(again, *[1] * (rows.ndim - 1))
        places.append((many + along * (value - many)).requires_grad_())
    gradients = torch.autograd.grad(subject.point_score(*places).sum(), places)
    return tuple(
        (value - rows) * gradient.reshape(again, count, *gradient.shape[1:]).sum(0)
        for value, rows, gradient in zip(values, grounds, gradients, strict=True)
    )
