"""Cylinder, bell and funnel: a benchmark of time series classification (N. Saito, 1994)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.raw.series import Series
from netloom.data.raw_dataset import RawDataset

LENGTH = 128
CLASSES = ("cylinder", "bell", "funnel")


class CylinderBellFunnel(Dataset):
    """Series in which a plateau, a rise or a fall begins and ends at random steps.

    With χ = 1 for a ≤ t ≤ b and 0 elsewhere, a from 16 to 32, b − a from 32 to 96, and standard normal η and ε(t):
    cylinder (6 + η) χ + ε(t), bell (6 + η) χ (t − a) / (b − a) + ε(t), and funnel (6 + η) χ (b − t) / (b − a) + ε(t).
    """

    name = "cbf"
    example_count = 900
    title = "Cylinder, bell, funnel (CBF)"
    kind = "series"
    task = "classification"
    summary = "Noisy series of 128 steps with a plateau, a rise or a fall at random steps"

    rows: Rows = Field(900, description="Number of series")
    noise: float = Field(1.0, ge=0, le=10, description="Standard deviation of the noise")

    def read(self) -> RawDataset:
        random = np.random.default_rng(17)
        classes = random.permutation(np.arange(self.rows) % len(CLASSES))
        windows = np.stack([self._series(int(number), random) for number in classes])
        return Series(
            name="series",
            target=classes,
            target_kind="class",
            target_name="shape",
            classes=CLASSES,
            windows=windows[:, :, None],
            channels=("signal",),
        )

    def _series(self, number: int, random: np.random.Generator) -> np.ndarray:
        """One series (T,) of the class with this number."""
        begin, duration = random.integers(16, 33), random.integers(32, 97)
        step = np.arange(1, LENGTH + 1)
        rise = (step - begin) / duration
        shape = (np.ones(LENGTH), rise, 1 - rise)[number]
        inside = (step >= begin) & (step <= begin + duration)
        series: np.ndarray = (6 + random.normal()) * inside * shape + self.noise * random.normal(size=LENGTH)
        return series
