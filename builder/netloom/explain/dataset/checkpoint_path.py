"""The way of a run's weights: the checkpoints that led to those in use, and how fast it learned between them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from netloom.explain.core import run
from netloom.store import RunArtifacts

if TYPE_CHECKING:
    from netloom.training.objectives import Objective

MOST = 6


class Trained(run.Trained, Protocol):
    """A trained network with the loss that it was trained by."""

    @property
    def objective(self) -> Objective: ...
    @property
    def fields(self) -> list[str]: ...


@dataclass(frozen=True)
class Stage:
    """A checkpoint of the way: the weights after so many epochs and steps, and the mean learning rate of the steps
    since the one before. Epoch 0: the network as it is used, as nothing else was kept."""

    epoch: int
    step: int
    learning_rate: float


def kept_of(folder: Path | None) -> list[str]:
    """What is kept of the way, as it is part of the question."""
    from netloom.runs.snapshots import epoch_snapshots

    return [one.path.stem for one in epoch_snapshots(RunArtifacts.in_directory(folder))] if folder else []


def way(trained: Trained, folder: Path | None, checkpoint: str) -> list[tuple[Stage, Path | None]]:
    """The checkpoints that led to the weights in use, at most so many, evenly spread; without any, those weights."""
    from netloom.runs.snapshots import epoch_snapshots
    from netloom.training.batches import batch_bounds
    from netloom.training.schedules import Schedule

    training = trained.project.training
    limit = _step_in_use(folder, checkpoint or training.keep)
    kept = epoch_snapshots(RunArtifacts.in_directory(folder)) if folder else []
    known = [one for one in kept if limit is None or one.step <= limit]
    if not known:
        return [(Stage(0, limit or 0, training.learning_rate), None)]
    if len(known) > MOST:
        places = np.unique(np.linspace(0, len(known) - 1, MOST).round().astype(int))
        known = [known[place] for place in places]
    rows = len(trained.data.split["train"])
    per_epoch = len(batch_bounds(rows, min(training.batch_size * training.accumulation, rows)))
    schedule = Schedule(training, per_epoch * training.epochs, per_epoch)
    found, before = list[tuple[Stage, Path | None]](), 0
    for one in known:
        factors = [schedule.factor(step) for step in range(before, one.step)] or [schedule.factor(one.step)]
        found.append((Stage(one.epoch, one.step, training.learning_rate * float(np.mean(factors))), one.path))
        before = one.step
    return found


def _step_in_use(folder: Path | None, checkpoint: str) -> int | None:
    """After how many steps the weights in use were found; None where that is not known, or where they are the last."""
    from safetensors import safe_open

    if folder is None or checkpoint == "last":
        return None
    try:
        with safe_open(RunArtifacts.in_directory(folder).best_weights, "pt") as file:
            return int(json.loads((file.metadata() or {})["facts"])["step"])
    except (OSError, KeyError, ValueError, TypeError):
        return None
