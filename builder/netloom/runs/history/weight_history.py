"""All saved weights of a run in the order of training: snapshots, the best and the last ones.

One list for the pages and the command line. A name is an argument of `load_run`: "best", "last", or the number of an
epoch; 0 is before the first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.core.errors import UsageError
from netloom.runs.history.snapshots import Snapshot, epoch_snapshots, initial_snapshot
from netloom.store import DamagedArtifactError, RunArtifacts
from netloom.training.weights import checkpoints
from netloom.training.weights.weight_files import CheckpointError, metadata, read_weights

if TYPE_CHECKING:
    import torch


class UnknownCheckpointError(CheckpointError, UsageError):
    """A run has no weights of the requested name; the message lists the available ones."""


@dataclass(frozen=True)
class SavedWeights:
    """The weights after `step` steps. `epoch` is the number of completed epochs, None if unknown.

    `name` is the argument of `load_run`, `label` the text for display.
    """

    name: str
    label: str
    epoch: int | None
    step: int
    path: Path


def saved_weights(artifacts: RunArtifacts) -> list[SavedWeights]:
    """Return all weights of a run in order, without duplicates under two names.

    The best and the last ones can be an EMA, and so differ from the snapshot of the same step.
    """
    snapshots, first = epoch_snapshots(artifacts), initial_snapshot(artifacts)
    moments_by_step = {0: SavedWeights("0", "Before training", 0, 0, first.path)} if first else {}
    moments_by_step |= {
        snapshot.step: SavedWeights(
            str(snapshot.epoch), f"Epoch {snapshot.epoch}", snapshot.epoch, snapshot.step, snapshot.path
        )
        for snapshot in snapshots
    }
    same = not _averages(artifacts)  # whether equal steps mean equal weights
    ends = []
    for name, step in (("best", _best_step(artifacts)), ("last", _last_step(artifacts))):
        if step is None:
            continue
        if same and step in moments_by_step:
            moments_by_step[step] = replace(moments_by_step[step], label=f"{moments_by_step[step].label} · {name}")
            continue
        epoch = _epoch(snapshots, step)
        position = f"epoch {epoch}" if epoch is not None else f"step {step:,}"
        moment = SavedWeights(
            name, f"{name.capitalize()} · {position}", epoch, step, checkpoints.weights_file(artifacts, name)
        )
        if same:
            moments_by_step[step] = moment
        else:
            ends.append(moment)
    return sorted([*moments_by_step.values(), *ends], key=lambda moment: moment.step)


def weights_path(artifacts: RunArtifacts, name: str) -> Path:
    """Return the file of the weights of a name.

    Raises:
        UnknownCheckpointError: there are no weights of that name.
        FileNotFoundError: the run has no checkpoint yet.
    """
    if name in ("best", "last"):
        return checkpoints.weights_file(artifacts, name)
    paths = {str(item.epoch): item.path for item in (initial_snapshot(artifacts), *epoch_snapshots(artifacts)) if item}
    if name not in paths:
        names = ", ".join(paths) or "none"
        raise UnknownCheckpointError(
            f"This run has no weights named {name[:40]!r}; there are best, last, and those after epoch: {names}."
        )
    return paths[name]


def weights(artifacts: RunArtifacts, name: str) -> dict[str, torch.Tensor]:
    """Return the weights of a name.

    Raises:
        CheckpointError: the file is damaged.
        UnknownCheckpointError: there are no weights of that name.
        FileNotFoundError: the run has no checkpoint yet.
    """
    return read_weights(weights_path(artifacts, name))


def _epoch(snapshots: list[Snapshot], step: int) -> int | None:
    """Return the completed epochs at a step, from the snapshots, because all epochs of a run have equally many
    steps."""
    for snapshot in snapshots:
        if snapshot.epoch and snapshot.step % snapshot.epoch == 0:
            return step // (snapshot.step // snapshot.epoch)
    return None


def _best_step(artifacts: RunArtifacts) -> int | None:
    """Return the step in the header of the best weights, without reading the tensors."""
    try:
        return int(json.loads(metadata(artifacts.best_weights)["facts"])["step"])
    except (ValueError, KeyError, TypeError):
        return None


def _last_step(artifacts: RunArtifacts) -> int | None:
    try:
        step = (artifacts.last_checkpoint() or {}).get("step")
    except DamagedArtifactError:
        return None
    return step if isinstance(step, int) else None


def _averages(artifacts: RunArtifacts) -> bool:
    return artifacts.training_setting("ema_decay") is not None
