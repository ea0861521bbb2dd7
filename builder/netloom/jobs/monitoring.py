"""Jobs of the Monitor page: the check of a model, its suspicious predictions, and versions of data."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.data.dataset_version import make_version
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request
from netloom.monitoring import MonitorReport, check
from netloom.monitoring.labeled import check_examples
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
        examples = [(example.row, example.label) for example in context.store.collected(project).all()]
        check_examples(trained, examples)
        info = make_version(trained.data, examples, context.home, self.title, lambda share, _: context.progress(share))
        return Version(info.name, info.title, info.rows or 0)
