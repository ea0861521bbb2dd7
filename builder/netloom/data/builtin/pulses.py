"""A series with known, inserted anomalies."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.raw.series import Series
from netloom.data.raw_dataset import RawDataset

LENGTH = 48
_CHANGES = ("missing", "extra", "flat", "fast")


class Pulses(Dataset):
    """Windows of a pulse signal; some contain an anomaly."""

    name = "pulses"
    example_count = 1200
    title = "Pulses with anomalies"
    kind = "series"
    task = "anomaly_detection"
    summary = "Windows of a pulse signal, some with a beat that is missing, extra, flat or too fast"

    rows: Rows = Field(1200, description="Number of windows")
    share: float = Field(0.15, ge=0.02, le=0.5, description="Share of anomalous windows")
    noise: float = Field(0.15, ge=0, le=1, description="Standard deviation of the noise")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        unusual = np.zeros(self.rows, dtype=np.int64)
        unusual[: round(self.rows * self.share)] = 1
        unusual = random.permutation(unusual)
        windows = np.stack([self._window(bool(wrong), random) for wrong in unusual])
        return Series(
            name="signal",
            target=unusual,
            target_kind="class",
            target_name="what it is",
            classes=("usual", "unusual"),
            windows=windows[:, :, None],
            channels=("signal",),
        )

    def _window(self, wrong: bool, random: np.random.Generator) -> np.ndarray:
        """One window (T,): beats at even distances, with one change where something is wrong."""
        period = random.uniform(11.0, 13.0)
        beats = np.arange(random.uniform(-period, 0), LENGTH + period, period)
        change = _CHANGES[random.integers(len(_CHANGES))] if wrong else ""
        inside = np.flatnonzero((beats > 4) & (beats < LENGTH - 5))
        beat = int(random.choice(inside))
        if change == "missing":
            beats = np.delete(beats, beat)
        elif change == "extra":
            beats = np.sort(np.append(beats, beats[beat] + period * random.uniform(0.4, 0.6)))
        elif change == "fast":
            beats = np.arange(beats[0], LENGTH + period, period * random.uniform(0.72, 0.84))
        signal: np.ndarray = _beat(np.arange(LENGTH) - beats[:, None]).sum(0)
        if change == "flat":
            middle = int(beats[beat])
            signal[max(0, middle - 4) : middle + 5] = 0.0
        return signal * random.uniform(0.9, 1.1) + random.normal(0, self.noise, LENGTH)


def _beat(distance: np.ndarray) -> np.ndarray:
    """A sharp rise, a dip behind it and a slow wave, by the distance from its top in steps, (…) to (…)."""
    top = np.exp(-0.5 * (distance / 0.9) ** 2)
    dip = -0.35 * np.exp(-0.5 * ((distance - 2.4) / 0.9) ** 2)
    wave = 0.25 * np.exp(-0.5 * ((distance - 5.5) / 1.6) ** 2)
    return np.asarray(top + dip + wave)
