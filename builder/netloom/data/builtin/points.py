"""Points in the plane whose classes are not linearly separable."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.raw.table import Table
from netloom.data.raw_dataset import RawDataset


def _table(points: np.ndarray, target: np.ndarray, noise: float, random: np.random.Generator) -> RawDataset:
    points = points + random.normal(scale=noise, size=points.shape)
    return Table(
        name="features",
        target=target.astype(np.int64),
        target_kind="class",
        target_name="colour",
        classes=("blue", "orange"),
        numbers={"x": points[:, 0], "y": points[:, 1]},
    )


class Spirals(Dataset):
    """Two interleaved spirals."""

    name = "spirals"
    example_count = 1000
    title = "Two spirals"
    kind = "table"
    task = "classification"
    summary = "Points on two spirals that wind around each other"

    rows: Rows = Field(1000, description="Number of points")
    noise: float = Field(0.05, ge=0, le=2, description="Standard deviation of the noise of each coordinate")
    turns: float = Field(1.5, ge=0.25, le=5, description="Number of turns of each spiral")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        target = np.arange(self.rows) % 2
        radius = np.sqrt(random.uniform(0.02, 1, self.rows))
        angle = radius * self.turns * 2 * np.pi + target * np.pi
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) * 3
        return _table(points, target, self.noise, random)


class Moons(Dataset):
    """Two interleaved half moons."""

    name = "moons"
    example_count = 1000
    title = "Two moons"
    known_as = "make_moons"
    kind = "table"
    task = "classification"
    summary = "Points on two interleaving half circles"

    rows: Rows = Field(1000, description="Number of points")
    noise: float = Field(0.15, ge=0, le=2, description="Standard deviation of the noise of each coordinate")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        target = np.arange(self.rows) % 2
        angle = random.uniform(0, np.pi, self.rows)
        x = np.where(target == 0, np.cos(angle), 1 - np.cos(angle))
        y = np.where(target == 0, np.sin(angle), 0.5 - np.sin(angle))
        return _table(np.stack([x, y], axis=1), target, self.noise, random)


class Circles(Dataset):
    """Two concentric circles."""

    name = "circles"
    example_count = 1000
    title = "Two circles"
    known_as = "make_circles"
    kind = "table"
    task = "classification"
    summary = "Points on a small circle within a larger one"

    rows: Rows = Field(1000, description="Number of points")
    noise: float = Field(0.08, ge=0, le=2, description="Standard deviation of the noise of each coordinate")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        target = np.arange(self.rows) % 2
        angle = random.uniform(0, 2 * np.pi, self.rows)
        radius = np.where(target == 0, 0.5, 1.0)
        return _table(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), target, self.noise, random)
