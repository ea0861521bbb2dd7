"""Groups of parts that are taken away together, and the answer as a function of which of them are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class FeatureGroups:
    """Parts of all fields in at most `most` groups; a group that is gone has the values of the baseline.

    `labels` give the group of each cell by field, numbered through, with -1 for what is never taken away. Neighbours
    go together: squares of a picture, steps of a series, tokens, columns.
    """

    def __init__(self, context: ExplanationContext, most: int) -> None:
        self.context = context
        self.labels: dict[str, np.ndarray] = {}
        sizes = _group_counts([_unit_count(context, name) for name in context.specs], most)
        start = 0
        for name, size in zip(context.specs, sizes, strict=True):
            labels = _group_labels(context, name, size)
            self.labels[name] = np.where(labels >= 0, labels + start, -1)
            start += int(labels.max(initial=-1)) + 1
        self.count = start

    def score(self, present: torch.Tensor, baseline: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
        """F (N,) with the groups where `there` (N, groups) is not 0, and the rest as in `ground` (1 or N, …)."""
        if baseline is None and len(present) > self.rows:  # no more inputs at once than go through the network
            return torch.cat([self.score(chunk) for chunk in torch.split(present, self.rows)])
        baseline = self.context.baseline if baseline is None else baseline
        # The last place is that of label -1: always there.
        present_or_padding = torch.cat([present != 0, torch.ones(len(present), 1, dtype=torch.bool)], dim=1)
        inputs = {}
        for name, labels in self.labels.items():
            is_present = present_or_padding[:, torch.from_numpy(labels.copy())]  # (N, …)
            inputs[name] = torch.where(is_present, self.context.inputs[name], baseline[name])
        return self.context.score(inputs)

    @property
    def all_present(self) -> torch.Tensor:
        """All groups are there, (1, groups)."""
        return torch.ones(1, self.count)

    @property
    def rows(self) -> int:
        """How many choices of groups are tried at once."""
        return self.context.rows

    def to_fields(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """The value of each group (groups,), shared out evenly among its cells, by field."""
        fields = {}
        for name, labels in self.labels.items():
            cells = np.bincount(labels[labels >= 0], minlength=self.count)
            field = np.zeros(labels.shape)
            field[labels >= 0] = (values / np.maximum(cells, 1))[labels[labels >= 0]]
            fields[name] = field
        return fields


def _unit_count(context: ExplanationContext, name: str) -> int:
    return int(context.feature_mask(name).max(initial=-1)) + 1


def _group_counts(units: list[int], limit: int) -> list[int]:
    """How many groups each field gets, so that there are at most `most` and each has one at least."""
    total = max(1, sum(units))
    if total <= limit:
        return units
    return [min(size, max(1, limit * size // total)) for size in units]


def _group_labels(context: ExplanationContext, name: str, count: int) -> np.ndarray:
    """The group of each cell of a field, from 0; -1 stands for padding."""
    units, spec = context.feature_mask(name), context.specs[name]
    unit_count = _unit_count(context, name)
    if unit_count <= count:
        return units
    if spec.is_image:
        return _tile_labels(spec.shape, count)
    if units.ndim == 2:
        steps = np.arange(spec.shape[0]) * min(count, spec.shape[0]) // spec.shape[0]
        return np.broadcast_to(steps[:, None], spec.shape)
    return np.where(units >= 0, units * count // unit_count, -1)


def _tile_labels(shape: tuple[int, ...], count: int) -> np.ndarray:
    """A picture in rows and columns of tiles, as square as may be."""
    _, height, width = shape
    rows = int(np.clip(round((count * height / width) ** 0.5), 1, min(height, count)))
    columns = int(np.clip(count // rows, 1, width))
    tiles = (np.arange(height) * rows // height)[:, None] * columns + np.arange(width) * columns // width
    return np.broadcast_to(tiles, shape)
