"""KernelSHAP: Shapley values as a weighted regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from builder.explain.base import GAMES, Explainer, Result

if TYPE_CHECKING:
    from builder.explain.subject import Subject

FLOPS = 2 * 10**10
# With fewer samples a group, the regression is not determined.
LEAST = 3


class KernelShap(Explainer):
    """A linear model of which groups are there, fitted to the answers with Shapley's weights."""

    name = "kernel_shap"
    title = "KernelSHAP"
    summary = "Shapley values estimated by fitting a linear model to answers with some groups gone"
    url = "https://arxiv.org/abs/1705.07874"
    group = GAMES
    adds_up = True

    groups: int = Field(49, ge=1, le=512, description="At most so many groups, of neighbours")
    samples: int = Field(
        0, ge=0, le=65536, description="How many choices of groups; 0: by the cost of the network; at least 3 a group"
    )

    def run(self, subject: Subject) -> Result:
        from captum.attr import KernelShap as Captum

        from builder.explain.alone import alone
        from builder.explain.groups import Groups

        parts = Groups(subject, self.groups)
        wanted = self.samples or int(min(16 * parts.count, FLOPS // max(1, subject.flops)))
        samples = max(LEAST * parts.count, wanted, 2) + 2
        if parts.count < 2:
            return Result(parts.spread(_only(subject, parts.count)))
        subject.expect(samples)
        with alone(subject.seed):
            found = Captum(lambda there: parts.score(there).double()).attribute(
                parts.everything.double(), n_samples=samples, perturbations_per_eval=parts.rows
            )
        return Result(parts.spread(found[0].double().numpy()), samples)


def _only(subject: Subject, count: int) -> np.ndarray:
    """What a single group gets: all of it."""
    whole = float(subject.score(subject.inputs)) - float(subject.score(subject.baseline))
    return np.full(count, whole)
