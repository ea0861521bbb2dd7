"""Groups of parts that are taken away together, and the answer as a function of which of them are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


class Groups:
    """Parts of all fields in at most `most` groups; a group that is gone has the values of the baseline.

    `labels` give the group of each cell by field, numbered through, with -1 for what is never taken away. Neighbours
    go together: squares of a picture, steps of a series, tokens, columns.
    """

    def __init__(self, subject: Subject, most: int) -> None:
        self.subject = subject
        self.labels: dict[str, np.ndarray] = {}
        sizes = _shares([_parts(subject, name) for name in subject.specs], most)
        start = 0
        for name, size in zip(subject.specs, sizes, strict=True):
            labels = _grouped(subject, name, size)
            self.labels[name] = np.where(labels >= 0, labels + start, -1)
            start += int(labels.max(initial=-1)) + 1
        self.count = start

    def score(self, there: torch.Tensor, ground: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
        """F (N,) with the groups where `there` (N, groups) is not 0, and the rest as in `ground` (1 or N, …)."""
        if ground is None and len(there) > self.rows:  # no more inputs at once than go through the network
            return torch.cat([self.score(some) for some in torch.split(there, self.rows)])
        ground = self.subject.baseline if ground is None else ground
        # The last place is that of label -1: always there.
        whole = torch.cat([there != 0, torch.ones(len(there), 1, dtype=torch.bool)], dim=1)
        inputs = {}
        for name, labels in self.labels.items():
            kept = whole[:, torch.from_numpy(labels.copy())]  # (N, …)
            inputs[name] = torch.where(kept, self.subject.inputs[name], ground[name])
        return self.subject.score(inputs)

    @property
    def everything(self) -> torch.Tensor:
        """All groups are there, (1, groups)."""
        return torch.ones(1, self.count)

    @property
    def rows(self) -> int:
        """How many choices of groups are tried at once."""
        return self.subject.rows

    def spread(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """The value of each group (groups,), shared out evenly among its cells, by field."""
        found = {}
        for name, labels in self.labels.items():
            cells = np.bincount(labels[labels >= 0], minlength=self.count)
            field = np.zeros(labels.shape)
            field[labels >= 0] = (values / np.maximum(cells, 1))[labels[labels >= 0]]
            found[name] = field
        return found


def _parts(subject: Subject, name: str) -> int:
    return int(subject.units(name).max(initial=-1)) + 1


def _shares(parts: list[int], most: int) -> list[int]:
    """How many groups each field gets, so that there are at most `most` and each has one at least."""
    total = max(1, sum(parts))
    if total <= most:
        return parts
    return [min(size, max(1, most * size // total)) for size in parts]


def _grouped(subject: Subject, name: str, count: int) -> np.ndarray:
    """The group of each cell of a field, from 0; -1 stands for padding."""
    units, spec = subject.units(name), subject.specs[name]
    parts = _parts(subject, name)
    if parts <= count:
        return units
    if spec.is_image:
        return _squares(spec.shape, count)
    if units.ndim == 2:
        steps = np.arange(spec.shape[0]) * min(count, spec.shape[0]) // spec.shape[0]
        return np.broadcast_to(steps[:, None], spec.shape)
    return np.where(units >= 0, units * count // parts, -1)


def _squares(shape: tuple[int, ...], count: int) -> np.ndarray:
    """A picture in rows and columns of tiles, as square as may be."""
    _, height, width = shape
    down = int(np.clip(round((count * height / width) ** 0.5), 1, min(height, count)))
    across = int(np.clip(count // down, 1, width))
    tiles = (np.arange(height) * down // height)[:, None] * across + np.arange(width) * across // width
    return np.broadcast_to(tiles, shape)
