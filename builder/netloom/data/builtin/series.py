"""A series for forecasting."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.raw.series import Series
from netloom.data.raw_dataset import RawDataset


class Sine(Dataset):
    """Two sines with noise; the target is the next value after the window."""

    name = "sine"
    example_count = 1500
    title = "Noisy sine"
    kind = "series"
    task = "regression"
    summary = "A sum of two sines with noise: predict the next value from the previous ones"

    rows: Rows = Field(1500, description="Number of windows")
    window: int = Field(32, ge=4, le=512, description="Number of past steps that the model sees")
    noise: float = Field(0.1, ge=0, le=2, description="Standard deviation of the noise")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        time = np.arange(self.rows + self.window)
        clean = np.sin(2 * np.pi * time / 25) + 0.5 * np.sin(2 * np.pi * time / 7.3)
        values = clean + random.normal(scale=self.noise, size=len(time))
        windows = np.lib.stride_tricks.sliding_window_view(values, self.window)[: self.rows, :, None]
        return Series(
            name="series",
            target=values[self.window :, None],
            target_kind="number",
            target_name="next value",
            windows=np.ascontiguousarray(windows),
            contiguous=True,
            gap=self.window,
        )
