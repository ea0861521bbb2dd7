"""All weights of a run that there are, in the order of training: those kept along the way, the best and the last.

One list for the pages and the command line. A name is what `load_run` takes: "best", "last", or the number of an epoch,
of which 0 is before the first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.core.errors import UsageError
from netloom.runs.history.snapshots import Snapshot, epoch_snapshots, initial_snapshot
from netloom.store import RunArtifacts
from netloom.training import checkpoints
from netloom.training.weight_files import CheckpointError, metadata, read_weights

if TYPE_CHECKING:
    import torch


class UnknownCheckpointError(CheckpointError, UsageError):
    """A run has no weights of the name that was asked for; the message lists those that it has."""


@dataclass(frozen=True)
class SavedWeights:
    """The weights as they were after `step` steps. `epoch` is the last that was whole by then, None where unknown.

    `name` is what `load_run` takes, `label` what people read.
    """

    name: str
    label: str
    epoch: int | None
    step: int
    path: Path


def saved_weights(artifacts: RunArtifacts) -> list[SavedWeights]:
    """All weights of a run, the earliest first; weights that have two names are listed once.

    The best and the last are running means where the run takes one, and so may differ from those kept at their step.
    """
    snapshots, first = epoch_snapshots(artifacts), initial_snapshot(artifacts)
    moments_by_step = {0: SavedWeights("0", "Before training", 0, 0, first.path)} if first else {}
    moments_by_step |= {
        snapshot.step: SavedWeights(
            str(snapshot.epoch), f"Epoch {snapshot.epoch}", snapshot.epoch, snapshot.step, snapshot.path
        )
        for snapshot in snapshots
    }
    same = not _averages(artifacts)
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
    """The file of the weights of a name.

    Raises:
        UnknownCheckpointError: there are none of that name.
        FileNotFoundError: the run has not got as far as a checkpoint.
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
    """The weights of a name. Raises: as `find`; also where their file is damaged."""
    return read_weights(weights_path(artifacts, name))


def _epoch(snapshots: list[Snapshot], step: int) -> int | None:
    """The last whole epoch at a step, told from those that are kept: all epochs of a run have as many steps."""
    for snapshot in snapshots:
        if snapshot.epoch and snapshot.step % snapshot.epoch == 0:
            return step // (snapshot.step // snapshot.epoch)
    return None


def _best_step(artifacts: RunArtifacts) -> int | None:
    """The step in the header of the best weights, which is read alone."""
    try:
        return int(json.loads(metadata(artifacts.best_weights)["facts"])["step"])
    except (ValueError, KeyError, TypeError):
        return None


def _last_step(artifacts: RunArtifacts) -> int | None:
    try:
        return int(artifacts.last_checkpoint()["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _averages(artifacts: RunArtifacts) -> bool:
    return artifacts.training_setting("average") is not None
