"""The learning rate range test as a job."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from netloom.data import prepare
from netloom.document import Project
from netloom.jobs.request import Context, Request
from netloom.runs.lr_finder import STEPS, Rates, find_rate

PREVIEW_EVERY_S = 0.3


@dataclass(frozen=True)
class LearningRateRangeTest(Request[Rates], kind="lr_range_test", lane="long"):
    """A range test on the training rows of a project, whose document is `project` as JSON. A preview has the rates so
    far."""

    project: dict[str, Any]

    def compute(self, context: Context) -> Rates:
        project = Project.model_validate(self.project)
        rates, losses, shown_at = list[float](), list[float](), 0.0

        def note(rate: float, loss: float) -> None:
            nonlocal shown_at
            rates.append(rate)
            losses.append(loss)
            context.progress(len(rates) / STEPS)
            if time.monotonic() - shown_at > PREVIEW_EVERY_S:
                shown_at = time.monotonic()
                context.preview(Rates(rates, losses))

        return find_rate(project, prepare(project.data, context.home), note)
