"""Groups of features that are removed together, and the score as a function of the groups that are present."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class FeatureGroups:
    """The features of all fields in at most `most` groups; an absent group has the values of the baseline.

    `labels` holds the group of each value by field, numbered across fields; -1 marks values that are never removed.
    Groups contain neighbors: squares of an image, steps of a series, tokens, columns.
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
        """Compute F (N,) with the groups where `present` (N, groups) is nonzero, and `baseline` (1 or N, …)
        elsewhere."""
        if baseline is None and len(present) > self.rows:  # builds the inputs of one batch at a time
            return torch.cat([self.score(chunk) for chunk in torch.split(present, self.rows)])
        baseline = self.context.baseline if baseline is None else baseline
        # The last column is label -1, which is always present.
        present_or_padding = torch.cat([present != 0, torch.ones(len(present), 1, dtype=torch.bool)], dim=1)
        inputs = {}
        for name, labels in self.labels.items():
            # Broadcast labels are read-only, which `from_numpy` warns about.
            is_present = present_or_padding[:, torch.from_numpy(labels.copy())]  # (N, …)
            inputs[name] = torch.where(is_present, self.context.inputs[name], baseline[name])
        return self.context.score(inputs)

    @property
    def all_present(self) -> torch.Tensor:
        """The coalition of all groups, (1, groups)."""
        return torch.ones(1, self.count)

    @property
    def rows(self) -> int:
        """The number of coalitions that are evaluated in one batch."""
        return self.context.rows

    def to_fields(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Distribute the value of each group (groups,) evenly over its values, by field."""
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
    """Divide at most `limit` groups among the fields; each field gets at least one."""
    total = max(1, sum(units))
    if total <= limit:
        return units
    # In proportion to the number of features of each field.
    return [min(size, max(1, limit * size // total)) for size in units]


def _group_labels(context: ExplanationContext, name: str, count: int) -> np.ndarray:
    """Return the group of each value of a field, from 0; -1 marks padding."""
    units, spec = context.feature_mask(name), context.specs[name]
    unit_count = _unit_count(context, name)
    if unit_count <= count:
        return units
    if spec.is_image:
        return _tile_labels(spec.shape, count)
    if units.ndim == 2:
        # A series (T, D): a group has all channels of its steps.
        steps = np.arange(spec.shape[0]) * min(count, spec.shape[0]) // spec.shape[0]
        return np.broadcast_to(steps[:, None], spec.shape)
    return np.where(units >= 0, units * count // unit_count, -1)


def _tile_labels(shape: tuple[int, ...], count: int) -> np.ndarray:
    """Divide an image into a grid of tiles that are as square as possible."""
    _, height, width = shape
    rows = int(np.clip(round((count * height / width) ** 0.5), 1, min(height, count)))
    columns = int(np.clip(count // rows, 1, width))
    tiles = (np.arange(height) * rows // height)[:, None] * columns + np.arange(width) * columns // width
    return np.broadcast_to(tiles, shape)
