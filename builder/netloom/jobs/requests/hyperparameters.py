"""Jobs for the importance of hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netloom.jobs.request import Context, Request
from netloom.runs.history.run_table import importance
from netloom.runs.search import sweeps


@dataclass(frozen=True)
class RunImportance(Request[dict[str, float]], kind="run_importance"):
    """The importance of the settings of runs for a metric: `settings` has the values of each by path, and `results`
    those of the metric, both in the order of the runs."""

    settings: dict[str, list[Any]]
    results: list[Any]

    def compute(self, context: Context) -> dict[str, float]:
        return importance(self.settings, self.results)


@dataclass(frozen=True)
class SweepImportance(Request[dict[str, float]], kind="sweep_importance"):
    """The importance of the parameters of a sweep. `complete` are the numbers of its complete trials, whose results no
    longer change."""

    sweep_id: str
    complete: tuple[int, ...]

    def compute(self, context: Context) -> dict[str, float]:
        trials = [trial for trial in context.store.trials(self.sweep_id) if trial.number in self.complete]
        return sweeps.importance(context.store.sweep(self.sweep_id), trials)
