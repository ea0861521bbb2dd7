"""Jobs of monitoring: the check of a model, its suspicious predictions, versions of data, and the comparison of a new
run with the one that it would replace."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.data.dataset_version import make_version
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request
from netloom.monitoring import MonitorReport, check
from netloom.monitoring.labeled import check_examples
from netloom.monitoring.promotion import Gate, compare_for_promotion
from netloom.monitoring.suspects import Suspects, suspects


@dataclass(frozen=True)
class CheckModel(Request[MonitorReport], kind="monitor", lane="long"):
    """The check of the last rows of the request log of a model. `stamp` tells a longer log from a shorter one."""

    weights: RunWeights
    model: str
    window: int
    stamp: str

    def compute(self, context: Context) -> MonitorReport:
        return check(context.home, self.model, context.run(self.weights), self.window)


@dataclass(frozen=True)
class FindSuspects(Request[Suspects], kind="suspects"):
    """Logged predictions to review, from all models that served a run. `stamp` identifies the state of their logs."""

    weights: RunWeights
    models: tuple[str, ...]
    most: int
    stamp: str

    def compute(self, context: Context) -> Suspects:
        return suspects(context.home, self.models, context.run(self.weights), self.most)


@dataclass(frozen=True)
class Version:
    """A new version of a dataset: its name in documents, its title, and the number of its rows."""

    name: str
    title: str
    rows: int


def version_title(project: str, examples: int) -> str:
    """Return the proposed title of a version of the data of a project with a number of collected examples."""
    return f"{project[:60]} with {examples} more"


@dataclass(frozen=True)
class MakeVersion(Request[Version], kind="dataset_version", lane="long"):
    """A version of the data of a run with the collected examples of its project.
    `nonce` differs for each click, because the examples can have changed."""

    weights: RunWeights
    title: str
    nonce: str

    def compute(self, context: Context) -> Version:
        trained = context.run(self.weights)
        project = trained.run.project_id if trained.run is not None else ""
        examples = context.store.collected(project).labeled()
        check_examples(trained, examples)
        info = make_version(trained.data, examples, context.home, self.title, lambda share, _: context.progress(share))
        return Version(info.name, info.title, info.rows or 0)


@dataclass(frozen=True)
class ComparePromotion(Request[Gate], kind="promotion", lane="long"):
    """The comparison of a run with `current`, which it would replace, on held-out rows and collected examples.
    `stamp` identifies the state of the collected examples."""

    weights: RunWeights
    current: RunWeights
    stamp: str

    def compute(self, context: Context) -> Gate:
        new, old = context.run(self.weights), context.run(self.current)
        project = context.store.run(self.current.run_id).project_id
        return compare_for_promotion(new, old, context.store.collected(project).labeled())
