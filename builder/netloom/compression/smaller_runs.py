"""Smaller networks as runs of the project, which can be tried, explained, served and exported like any other run: those
that compression made from a run, and students that learned from it, also drawn ones."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netloom.compression.method import CompressionError, DocumentMethod
from netloom.core.text import plain
from netloom.document import Project, dumps, loads, updated
from netloom.runs import load_run
from netloom.runs.control import start
from netloom.store import weights
from netloom.store.run_summary import Compressed, RunOrigin
from netloom.tasks import task
from netloom.training.weights import checkpoints
from netloom.training.weights.initialization import RUN, WEIGHTS, starting_from
from netloom.training.weights.weight_files import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from netloom.runs import TrainedRun
    from netloom.store import Run, Store


@dataclass(frozen=True)
class Proposal:
    """A smaller document as JSON, with its training and its initial weights, the method, the method with its settings
    as a label, and what was done."""

    document: str
    method: str
    label: str
    note: str

    @property
    def project(self) -> Project:
        return loads(self.document)


def propose(trained: TrainedRun, method: DocumentMethod, epochs: int, home: Path) -> Proposal:
    """Return the smaller document of a run that trains for some epochs; its weights are stored in the data folder.

    Raises:
        CompressionError: the network has nothing that this method makes smaller, or needs training and gets none.
        StoreError: the weights cannot be stored.
    """
    smaller = method.smaller(trained)
    training = updated(trained.project.training, method.training(trained, epochs))
    project = smaller.project.model_copy(update={"training": training})
    if smaller.state is None:
        if not epochs:
            raise CompressionError(f"{method.title} needs at least one epoch, because its network has no weights yet.")
        return Proposal(dumps(project), method.name, method.label, smaller.note)
    from safetensors.torch import save

    digest = weights.keep(home, save(checkpoints.separate(smaller.state)))
    project = starting_from(project, f"{WEIGHTS}{digest}")
    return Proposal(dumps(project), method.name, method.label, smaller.note)


def start_smaller(store: Store, run: Run, proposal: Proposal, *, owner: str | None = None) -> str:
    """Start a run of a smaller document in the project of the original run. Returns its id.

    Raises:
        CompileError, DataError, StartError, QueueFullError: as `netloom.runs.start`.
    """
    title = f"{plain(run.title)[:120]}, {proposal.label}"
    about = RunOrigin(start=Compressed(run=run.id, method=proposal.method, note=proposal.note))
    owner = run.owner if owner is None else owner
    return start(store, run.project_id, proposal.project, title=title, owner=owner, about=about)


def smaller_runs(store: Store, run: Run) -> list[Run]:
    """Return the runs that were made from a run by compression or learned from it, the oldest first."""
    runs = [
        candidate
        for candidate in store.runs(run.project_id)
        if _origin(candidate) == run.id or _teacher(store, candidate) == run.id
    ]
    return sorted(runs, key=lambda candidate: candidate.created_at)


def finished_smaller_runs(store: Store, trained: TrainedRun) -> list[TrainedRun]:
    """Return the finished runs of `smaller_runs`, with their weights. Runs without weights are left out."""
    loaded = []
    for run in smaller_runs(store, trained.run) if trained.run else ():
        if run.state == "finished":
            with suppress(FileNotFoundError, CheckpointError):
                loaded.append(load_run(store, run.id))
    return loaded


def _origin(run: Run) -> str:
    return run.about.start.run if isinstance(run.about.start, Compressed) else ""


def _teacher(store: Store, run: Run) -> str:
    """Return the id of the run from which a run learned; "" if there is none."""
    if not task(run.summary.objective).learns_from_teacher:
        return ""  # without a look at its document
    return str(store.artifacts(run.id).training_setting("teacher") or "").removeprefix(RUN)
