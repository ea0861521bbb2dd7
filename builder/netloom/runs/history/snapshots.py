"""A series of weights along a run, from which other runs can branch.

A run has at most `KEEP` snapshots, evenly spaced over its epochs so far, within `max_bytes`, and its initial weights.
Snapshots contain only weights; an exact continuation needs the last checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.core.settings import settings
from netloom.store import RunArtifacts
from netloom.training.weights.checkpoints import separate
from netloom.training.weights.weight_files import save_weights

if TYPE_CHECKING:
    import torch

KEEP = 10


@dataclass(frozen=True)
class Snapshot:
    """The weights after a number of epochs and steps."""

    epoch: int
    step: int
    path: Path

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size


def epoch_snapshots(artifacts: RunArtifacts) -> list[Snapshot]:
    """Return the snapshots after epochs, in order."""
    return [snapshot for snapshot in _every(artifacts) if snapshot.epoch]


def initial_snapshot(artifacts: RunArtifacts) -> Snapshot | None:
    """Return the weights before the first step; None if they were not saved."""
    return next((snapshot for snapshot in _every(artifacts) if not snapshot.epoch), None)


def _every(artifacts: RunArtifacts) -> list[Snapshot]:
    snapshots = []
    for path in artifacts.snapshots.glob("*.safetensors"):
        epoch, _, step = path.stem.partition("-")
        if epoch.isdigit() and step.isdigit():
            snapshots.append(Snapshot(int(epoch), int(step), path))
    return sorted(snapshots, key=lambda snapshot: (snapshot.epoch, snapshot.step))


def save_snapshot(artifacts: RunArtifacts, epoch: int, step: int, weights: dict[str, torch.Tensor]) -> None:
    """Save the weights after `epoch` (1, 2, …) if it belongs to the series, and remove snapshots that no longer do.
    Epoch 0 saves the initial weights, which are never removed.

    Raises:
        OSError: the disk is full.
    """
    size = sum(value.numel() * value.element_size() for value in weights.values())
    limit = min(KEEP, max_bytes() // max(size, 1))
    every = spacing(epoch, limit)
    if every and epoch % every == 0:
        artifacts.snapshots.mkdir(exist_ok=True)
        save_weights(artifacts.snapshots / f"{epoch}-{step}.safetensors", separate(weights))
        for old in epoch_snapshots(artifacts):
            if old.epoch % every:
                old.path.unlink(missing_ok=True)


def is_due(epoch: int) -> bool:
    """Return whether `save_snapshot` can have something to do after an epoch.

    Called after each epoch, so it must be fast. The limit of bytes only makes the spacing wider.
    """
    return epoch % spacing(epoch, KEEP) == 0


def spacing(epoch: int, limit: int) -> int:
    """Return the interval in epochs so that at most `limit` snapshots remain after `epoch`; 0 if none can."""
    if limit < 1:
        return 0
    every = 1  # a power of 2, so that a wider series is a subset of the narrower one
    while epoch // every > limit:
        every *= 2
    return every


def max_bytes() -> int:
    """Return the size limit of all snapshots of a run: NETLOOM_KEPT_BYTES, by default 1 GiB."""
    return settings.kept_bytes
