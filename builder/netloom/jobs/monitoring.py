"""Jobs of the Monitor page."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request
from netloom.monitoring import MonitorReport, check


@dataclass(frozen=True)
class CheckModel(Request[MonitorReport], kind="monitor", lane="long"):
    """The check of the last rows of the request log of a model. `stamp` tells a longer log from a shorter one."""

    weights: RunWeights
    model: str
    window: int
    stamp: str

    def compute(self, context: Context) -> MonitorReport:
        return check(context.home, self.model, context.run(self.weights), self.window)
