"""KernelSHAP: Shapley values as a weighted regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field

from netloom.explain.core.explainer import SHAPLEY, Comparing, Result

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject

FLOPS = 2 * 10**10
# So many samples a group leave a standard error of about a tenth to a fifth of the total, measured on small networks.
EACH = 48
# With fewer samples a group, the regression is not determined.
LEAST = 3


class KernelShap(Comparing):
    """A linear model of which groups are there, fitted to the answers with Shapley's weights."""

    name = "kernel_shap"
    title = "KernelSHAP"
    summary = "Shapley values by a weighted linear regression on coalitions of features"
    url = "https://arxiv.org/abs/1705.07874"
    group = SHAPLEY
    adds_up = True
    fits_anyway = True

    groups: int = Field(49, ge=1, le=512, description="Maximum number of groups of neighboring features")
    samples: int = Field(
        0,
        ge=0,
        le=65536,
        description="Number of coalitions; 0: chosen by the cost of the network; at least 3 for each group",
    )

    def run(self, subject: Subject) -> Result:
        from netloom.explain.attribution.shapley import MOST, values
        from netloom.explain.core.groups import Groups
        from netloom.explain.core.sampling import REPEATS, every_coalition, generator, kernel_coalitions, repeated

        parts = Groups(subject, self.groups)
        wanted = self.samples or int(min(EACH * parts.count, FLOPS // max(1, subject.flops)))
        if parts.count < 2:
            return Result(parts.spread(_only(subject, parts.count)), enumerated=True)
        if parts.count <= MOST and 2**parts.count <= wanted:
            # Fitted to every choice of groups, the linear model's weights are Shapley's values.
            subject.expect(2**parts.count)
            return Result(parts.spread(values(every_coalition(parts), parts.count)), enumerated=True)
        each = max(LEAST * parts.count, -(-wanted // REPEATS))
        subject.expect(each * REPEATS + 2)
        ends = parts.score(torch.stack([torch.zeros(parts.count), torch.ones(parts.count)])).double().numpy()
        estimates = []
        for repeat in range(REPEATS):
            choices = kernel_coalitions(parts.count, each, generator(subject.seed, repeat))
            answers = parts.score(choices).double().numpy()
            estimates.append(parts.spread(fitted(choices.double().numpy(), answers, ends[0], ends[1])))
        repeats, mean = repeated(estimates)
        return Result(mean, each * REPEATS, repeats=repeats)


def fitted(choices: np.ndarray, answers: np.ndarray, nothing: float, everything: float) -> np.ndarray:
    """The weights (groups,) of the linear model of answers (N,) to choices of groups (N, groups), drawn by Shapley's
    weights, that says what the network does where no group and where every group is there."""
    gap = everything - nothing
    # The last weight is what the others leave of the gap.
    known = choices[:, :-1] - choices[:, -1:]
    weights = np.linalg.lstsq(known, answers - nothing - choices[:, -1] * gap, rcond=None)[0]
    return np.append(weights, gap - weights.sum())


def _only(subject: Subject, count: int) -> np.ndarray:
    """What a single group gets: all of it."""
    whole = float(subject.score(subject.inputs)) - float(subject.score(subject.baseline))
    return np.full(count, whole)
