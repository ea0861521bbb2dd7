"""A thin series of a run's weights along the way, from which other runs can branch off.

At most `KEEP` of them, evenly spaced over the epochs so far, and never more than `max_bytes` together; beside them
those that the run began with. They hold weights alone; to go on exactly as if nothing had happened there is the last
checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.core.settings import settings
from netloom.store import RunArtifacts
from netloom.training.checkpoints import separate
from netloom.training.weight_files import save_weights

if TYPE_CHECKING:
    import torch

KEEP = 10


@dataclass(frozen=True)
class Snapshot:
    """The weights as they were after so many epochs and steps."""

    epoch: int
    step: int
    path: Path

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size


def epoch_snapshots(artifacts: RunArtifacts) -> list[Snapshot]:
    """What is kept of a run after its epochs, the earliest first."""
    return [snapshot for snapshot in _every(artifacts) if snapshot.epoch]


def initial_snapshot(artifacts: RunArtifacts) -> Snapshot | None:
    """The weights that a run began with, before its first step; None where they were not kept."""
    return next((snapshot for snapshot in _every(artifacts) if not snapshot.epoch), None)


def _every(artifacts: RunArtifacts) -> list[Snapshot]:
    snapshots = []
    for path in artifacts.snapshots.glob("*.safetensors"):
        epoch, _, step = path.stem.partition("-")
        if epoch.isdigit() and step.isdigit():
            snapshots.append(Snapshot(int(epoch), int(step), path))
    return sorted(snapshots, key=lambda snapshot: (snapshot.epoch, snapshot.step))


def save_snapshot(artifacts: RunArtifacts, epoch: int, step: int, weights: dict[str, torch.Tensor]) -> None:
    """Keep the weights after epoch number `epoch` (1, 2, …) if it belongs to the series, and drop what does not; with
    0, those that a run begins with, which stay.

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
    """Whether `keep` may have something to do after an epoch; it is asked after each, however short they are."""
    return epoch % spacing(epoch, KEEP) == 0


def spacing(epoch: int, limit: int) -> int:
    """Of how many epochs one is kept, so that of `epoch` there are at most `limit`; 0 where none can be."""
    if limit < 1:
        return 0
    every = 1
    while epoch // every > limit:
        every *= 2
    return every


def max_bytes() -> int:
    """What the series of one run may take on disk: NETLOOM_KEPT_BYTES, else 1 GiB."""
    return settings.kept_bytes
