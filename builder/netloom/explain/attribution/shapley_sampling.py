"""Shapley values by sampling orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, Comparing, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject

FLOPS = 2 * 10**10
# Every choice of so few groups may be tried instead of drawing orders.
MOST = 12
# Each order is followed by its reverse, and two such pairs are the least that tell how far they are off.
FEWEST = 4


class ShapleySampling(Comparing):
    """What each group adds when it joins, averaged over random orders of joining."""

    name = "shapley_sampling"
    title = "Shapley sampling"
    summary = "Shapley values estimated over random orders of the groups of features; slow"
    url = "https://doi.org/10.1016/j.cor.2008.04.004"
    group = SHAPLEY
    adds_up = True
    fits_anyway = True

    groups: int = Field(49, ge=1, le=512, description="Maximum number of groups of neighboring features")
    orders: int = Field(0, ge=0, le=4096, description="Number of random orders; 0: chosen by the cost of the network")

    def run(self, subject: Subject) -> Result:
        from captum.attr import ShapleyValueSampling as Captum

        from netloom.explain.attribution.shapley import values
        from netloom.explain.core.groups import Groups
        from netloom.explain.core.sampling import REPEATS, every_coalition, orders, repeated

        parts = Groups(subject, self.groups)
        affordable = FLOPS // max(1, subject.flops) // max(1, parts.count)
        wanted = self.orders or int(min(50, max(FEWEST, affordable)))
        if parts.count <= MOST and 2**parts.count <= wanted * parts.count:  # every case costs no more
            subject.expect(2**parts.count)
            return Result(parts.spread(values(every_coalition(parts), parts.count)), enumerated=True)
        subject.expect(wanted * parts.count + 2 * REPEATS)
        estimates, sizes = [], [2 * len(pairs) for pairs in np.array_split(np.arange(wanted // 2), REPEATS)]
        sizes[0] += wanted % 2
        sizes = [size for size in sizes if size]
        for repeat, size in enumerate(sizes):
            method = Captum(parts.score)
            method.permutation_generator = orders(subject.seed, repeat)
            found = method.attribute(
                parts.everything, n_samples=size, perturbations_per_eval=min(parts.rows, parts.count)
            )
            estimates.append(parts.spread(found[0].double().numpy()))
        repeats, mean = repeated(estimates, sizes)
        return Result(mean, wanted, repeats=repeats)
