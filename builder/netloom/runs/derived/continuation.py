"""Continued training: more epochs of the same run, or a new run from weights of an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from netloom.core.errors import UsageError
from netloom.core.text import plain
from netloom.data.preparation.fitted_state import stored_state
from netloom.document import Project, updated
from netloom.runs.control import ACTIVE, requeue, start
from netloom.runs.history.snapshots import epoch_snapshots
from netloom.runs.supervisor import refresh
from netloom.store import RunArtifacts, Store, StoreError
from netloom.store.run_summary import Branch, Extension, RunOrigin
from netloom.training.weights import checkpoints
from netloom.training.weights.initialization import RUN, StartError, starting_from


class UnknownWeightsError(StartError, UsageError):
    """A run has no weights of the requested epoch or name; the message lists the available ones."""


def resume(store: Store, run_id: str, *, owner: str | None = None) -> None:
    """Resume a run that failed or was stopped, from its last checkpoint or else from the start. It is queued for
    `owner`, by default for the owner of the run.

    Raises:
        ValueError: the run is active or has finished.
        QueueFullError: the owner has as many waiting runs as the limit allows.
    """
    run = refresh(store, run_id)
    if run.state not in ("failed", "stopped"):
        raise ValueError(f"This run is {run.state}; only a run that failed or was stopped can be resumed.")
    requeue(store, run, owner=owner)


def extend(store: Store, run_id: str, epochs: int, *, owner: str | None = None) -> None:
    """Train a run that ended for more epochs, from its last checkpoint.

    If early stopping ended the run, it is turned off, because the user asks for more epochs. A decaying schedule is
    stretched over all epochs, so the learning rate rises again.

    Raises:
        ValueError: the run is active, or the number of epochs is invalid.
        StoreError: the owner has as many waiting runs as the limit allows.
    """
    run = refresh(store, run_id)
    artifacts = store.artifacts(run_id)
    if run.state in ACTIVE:
        raise ValueError(f"This run is {run.state}; only a run that has ended can be extended.")
    if epochs < 1:
        raise ValueError(f"The number of additional epochs must be at least 1, received {epochs}.")
    if checkpoints.last_intact_step(artifacts) is None:
        raise StoreError("This run has no checkpoint to resume from; start it again.")
    project = artifacts.project()
    training = project.training
    done = max(run.epoch, 0)
    # A finished run can have ended before the epochs of its document, by early stopping.
    total = (done if run.state == "finished" else training.epochs) + epochs
    changed = _changed(project, {"epochs": total, "early_stopping": None})
    about = RunOrigin(extended=(*run.about.extended, Extension(at=done, epochs=total)))
    # Called in the transaction that queues the run, so that document and queue change together
    prepare = partial(artifacts.save_project, changed)
    requeue(store, run, owner=owner, reopen=True, about=about, prepare=prepare)


def branch(
    store: Store,
    run_id: str,
    at: int | str,
    *,
    title: str = "",
    training: Mapping[str, Any] | None = None,
    owner: str | None = None,
) -> str:
    """Start a new run from the weights of a run after epoch `at`, or from its "best" or "last" ones.

    `training` contains settings that differ from those of the run. Optimizer, schedule and order of the rows start from
    the beginning. Returns the id of the new run.

    Raises:
        StartError: there are no such weights.
        ValueError: a setting is invalid.
    """
    run = store.run(run_id)
    artifacts = store.artifacts(run_id)
    file, epoch = _weights(artifacts, at)
    project = starting_from(_changed(artifacts.project(), dict(training or {})), f"{RUN}{run_id}")
    origin = f"epoch {epoch}" if epoch is not None else f"its {at} weights"
    about = RunOrigin(start=Branch(run=run_id, at=at, title=run.title))
    name = title or f"{plain(run.title)[:120]}, from {origin}"
    owner = run.owner if owner is None else owner
    return start(
        store,
        run.project_id,
        project,
        title=name,
        owner=owner,
        about=about,
        weights=file,
        fitted=stored_state(artifacts),
    )


def _weights(artifacts: RunArtifacts, at: int | str) -> tuple[Path, int | None]:
    if isinstance(at, str):
        if at not in ("best", "last"):
            raise UnknownWeightsError(f"Weights must be best, last or the number of an epoch, received {at[:30]!r}.")
        try:
            return checkpoints.weights_file(artifacts, at), None
        except FileNotFoundError as error:
            raise StartError(str(error)) from None
    paths_by_epoch = {snapshot.epoch: snapshot.path for snapshot in epoch_snapshots(artifacts)}
    if at not in paths_by_epoch:
        choices = ", ".join(map(str, (*paths_by_epoch, "best")))
        raise UnknownWeightsError(f"There are no weights of epoch {at}; choose {choices} or last.")
    return paths_by_epoch[at], at


def _changed(project: Project, training: Mapping[str, Any]) -> Project:
    """Return the project with other training settings, validated like those of a file."""
    return project.model_copy(update={"training": updated(project.training, training)})
