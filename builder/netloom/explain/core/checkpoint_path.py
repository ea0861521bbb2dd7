"""The checkpoints that led to the current weights, and the learning rate between them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from netloom.explain.core import request
from netloom.store import RunArtifacts

if TYPE_CHECKING:
    from netloom.training.objectives import Objective

MAX_CHECKPOINTS = 6


class Trained(request.Trained, Protocol):
    """A trained network with its training loss."""

    @property
    def objective(self) -> Objective: ...
    @property
    def fields(self) -> list[str]: ...
    @property
    def variant(self) -> str: ...


@dataclass(frozen=True)
class Stage:
    """A checkpoint: the weights after `epoch` epochs and `step` steps.

    `learning_rate` is the mean over the steps since the previous checkpoint. Epoch 0 is the current network, if no
    checkpoints exist.
    """

    epoch: int
    step: int
    learning_rate: float


def snapshot_names(folder: Path | None) -> list[str]:
    """Return the names of the checkpoints, which are part of the cache key."""
    from netloom.runs.history.snapshots import epoch_snapshots

    return [snapshot.path.stem for snapshot in epoch_snapshots(RunArtifacts.in_directory(folder))] if folder else []


def checkpoint_path(trained: Trained, folder: Path | None, checkpoint: str) -> list[tuple[Stage, Path | None]]:
    """Return at most `MAX_CHECKPOINTS` evenly spaced checkpoints up to the current weights; without any, those
    weights."""
    from netloom.runs.history.snapshots import epoch_snapshots
    from netloom.training.batches import batch_bounds
    from netloom.training.optimization.schedules import Schedule

    training = trained.project.training
    limit = _step_in_use(folder, checkpoint or training.checkpoint)
    snapshots = epoch_snapshots(RunArtifacts.in_directory(folder)) if folder else []
    # Later checkpoints did not contribute to the current weights.
    candidates = [candidate for candidate in snapshots if limit is None or candidate.step <= limit]
    if not candidates:
        return [(Stage(0, limit or 0, training.learning_rate), None)]
    if len(candidates) > MAX_CHECKPOINTS:
        positions = np.unique(np.linspace(0, len(candidates) - 1, MAX_CHECKPOINTS).round().astype(int))
        candidates = [candidates[index] for index in positions]
    rows = len(trained.data.split["train"])
    per_epoch = len(batch_bounds(rows, min(training.batch_size * training.gradient_accumulation_steps, rows)))
    schedule = Schedule(training, per_epoch * training.epochs, per_epoch)
    checkpoints, last_step = list[tuple[Stage, Path | None]](), 0
    for snapshot in candidates:
        # The schedule changes the learning rate between two checkpoints, so its mean over these steps is used.
        factors = [schedule.factor(step) for step in range(last_step, snapshot.step)] or [
            schedule.factor(snapshot.step)
        ]
        checkpoints.append(
            (Stage(snapshot.epoch, snapshot.step, training.learning_rate * float(np.mean(factors))), snapshot.path)
        )
        last_step = snapshot.step
    return checkpoints


def _step_in_use(folder: Path | None, checkpoint: str) -> int | None:
    """Return the step of the current weights; None if it is unknown, or if the weights are the last ones."""
    from safetensors import safe_open

    if folder is None or checkpoint == "last":
        return None
    try:
        with safe_open(RunArtifacts.in_directory(folder).best_weights, "pt") as file:
            return int(json.loads((file.metadata() or {})["facts"])["step"])
    except (OSError, KeyError, ValueError, TypeError):
        return None
