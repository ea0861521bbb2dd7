"""Shapley values by sampling orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from builder.explain.base import GAMES, Explainer, Result

if TYPE_CHECKING:
    from builder.explain.subject import Subject

FLOPS = 2 * 10**10
FEWEST = 4


class ShapleySampling(Explainer):
    """What each group adds when it joins, averaged over random orders of joining."""

    name = "shapley_sampling"
    title = "Shapley sampling"
    summary = "What each group of parts adds on average, whatever the others are; fair, and slow"
    url = "https://doi.org/10.1016/j.cor.2008.04.004"
    group = GAMES
    adds_up = True

    groups: int = Field(49, ge=1, le=512, description="At most so many groups, of neighbours")
    orders: int = Field(0, ge=0, le=4096, description="How many random orders; 0: by the cost of the network")

    def run(self, subject: Subject) -> Result:
        from captum.attr import ShapleyValueSampling as Captum

        from builder.explain.alone import alone
        from builder.explain.groups import Groups

        parts = Groups(subject, self.groups)
        affordable = FLOPS // max(1, subject.flops) // max(1, parts.count)
        orders = self.orders or int(min(50, max(FEWEST, affordable)))
        subject.expect(orders * parts.count + 2)
        with alone(subject.seed):
            found = Captum(parts.score).attribute(
                parts.everything, n_samples=orders, perturbations_per_eval=min(parts.rows, parts.count)
            )
        return Result(parts.spread(found[0].double().numpy()), orders)
