"""The job that compares initial weights with a network for the pages, which build no modules."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.document import Project
from netloom.jobs.request import Context, Request
from netloom.training.weights.initialization import Fit, matched_start


@dataclass(frozen=True)
class MatchStart(Request[Fit], kind="initial_weights"):
    """The match between a project, as JSON, and the weights from which it starts; `source` is the code of its network.

    `written` is the time in nanoseconds at which the weights were written, because a run in training replaces them.
    """

    project: str
    source: str
    written: int

    def compute(self, context: Context) -> Fit:
        return matched_start(context.store, Project.model_validate_json(self.project), self.source)
