"""Feature permutation: put what another example has in the place of a part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from netloom.explain.core.explainer import PERTURBATION, Explainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


class FeaturePermutation(Explainer):
    """F(x) − the mean of F(x with the group of another row of the training split)."""

    name = "feature_permutation"
    title = "Feature permutation"
    summary = "How far the score falls when a group of features comes from other rows; needs no baseline"
    url = "https://link.springer.com/article/10.1023/A:1010933404324"
    group = PERTURBATION
    sums = False

    groups: int = Field(64, ge=1, le=1024, description="Maximum number of groups of neighboring features")
    others: int = Field(32, ge=2, le=256, description="Number of other rows that each group is taken from")

    def run(self, subject: Subject) -> Result:
        from captum.attr import FeaturePermutation as Captum

        from netloom.explain.core.groups import Groups
        from netloom.explain.core.sampling import repeated

        parts = Groups(subject, self.groups)
        train = subject.data.split["train"]
        chosen = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(subject.seed))[: self.others]]
        count = len(chosen)
        subject.expect((parts.count + 1) * count)
        others = {name: subject.data.inputs[name][chosen] for name in subject.specs}

        def score(there: torch.Tensor) -> torch.Tensor:
            # One row for each other example, and that as often as Captum tries several groups at once.
            rows = {name: value.repeat(len(there) // count, *[1] * (value.ndim - 1)) for name, value in others.items()}
            return parts.score(there, rows).double()

        method = Captum(score, perm_func=lambda there, group: torch.where(group, 0.0, there))
        everything = parts.everything.expand(count, -1)
        found = method.attribute(everything, perturbations_per_eval=max(1, parts.rows // count)).double().numpy()
        repeats, mean = repeated([parts.spread(one) for one in found])
        text = f"Each group was taken from {len(chosen)} other rows; the attributions are not meant to add up."
        return Result(mean, compared=f"{count} other training rows", repeats=repeats, remarks=(Remark("good", text),))
