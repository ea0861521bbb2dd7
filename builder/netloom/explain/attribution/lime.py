"""LIME: a simple model of the answer around the example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, Comparing, Result
from netloom.explain.core.explanation import Level, Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject

FLOPS = 2 * 10**10
LEAST, EACH = 5, 48
# Below this share of the answers' spread, the simple model tells little of the network.
FITS, FITS_SOMEWHAT = 0.8, 0.5


class Lime(Comparing):
    """A ridge regression of the answer on which groups are there; those closer to the example count more."""

    name = "lime"
    title = "LIME"
    summary = "A linear surrogate model fitted around this example, with its goodness of fit"
    url = "https://arxiv.org/abs/1602.04938"
    group = SHAPLEY
    sums = False

    groups: int = Field(49, ge=1, le=512, description="Maximum number of groups of neighboring features")
    samples: int = Field(
        0,
        ge=0,
        le=65536,
        description="Number of perturbed samples; 0: chosen by the cost of the network; at least 5 for each group",
    )
    width: float = Field(0.5, gt=0, le=10, description="Kernel width: smaller values weight similar samples more")

    def run(self, subject: Subject) -> Result:
        from sklearn.linear_model import Ridge

        from netloom.explain.core.groups import Groups
        from netloom.explain.core.sampling import REPEATS, generator, repeated

        parts = Groups(subject, self.groups)
        wanted = self.samples or int(min(EACH * parts.count, FLOPS // max(1, subject.flops)))
        each = max(LEAST * parts.count, -(-wanted // REPEATS), 2)
        subject.expect(each * REPEATS)
        estimates, tried = [], []
        for repeat in range(REPEATS):
            choices = torch.randint(0, 2, (each, parts.count), generator=generator(subject.seed, repeat))
            answers = parts.score(choices).double()
            near = torch.exp((choices - 1).square().sum(1).double() / (-2 * self.width**2 * parts.count))
            simple = Ridge(alpha=1e-3).fit(choices.numpy(), answers.numpy(), sample_weight=near.numpy())
            estimates.append(torch.from_numpy(simple.coef_))
            tried.append((choices.double(), answers, near))
        weights = torch.stack(estimates).mean(0)
        remark = _fit(*map(torch.cat, zip(*tried, strict=True)), weights=weights)
        repeats, mean = repeated([parts.spread(one.numpy()) for one in estimates])
        return Result(mean, each * REPEATS, repeats=repeats, remarks=(remark,))


def _fit(choices: torch.Tensor, answers: torch.Tensor, near: torch.Tensor, *, weights: torch.Tensor) -> Remark:
    """How much of the spread of the answers the simple model accounts for, near the example."""
    from sklearn.metrics import r2_score

    simple = choices @ weights
    simple = simple + near @ (answers - simple) / near.sum()
    share = float(r2_score(answers, simple, sample_weight=near))
    level: Level = "good" if share >= FITS else "caution" if share >= FITS_SOMEWHAT else "poor"
    text = f"The surrogate model explains {max(0.0, share):.0%} of the variance of the score around the example (R²)."
    return Remark(level, text, "fit")
