"""Hourly values of a weather station; one network forecasts several of them."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset
from netloom.data.raw.forecast import Forecast
from netloom.data.raw.series import Series
from netloom.data.raw_dataset import RawDataset

CHANNELS = ("temperature", "humidity", "radiation")
DAY = 24  # hours


class Station(Dataset):
    """Temperature (°C), humidity (%) and radiation (W/m²) by the hour; the targets are their next values."""

    name = "station"
    example_count = 1947
    title = "Weather station"
    kind = "series"
    task = "regression"
    summary = "Hourly temperature, humidity and radiation (synthetic): predict the next hours of all three"

    hours: int = Field(2_000, ge=300, le=20_000, description="Number of hours")
    window: int = Field(48, ge=4, le=512, description="Number of past hours that the model sees")
    horizon: int = Field(6, ge=1, le=48, description="Number of hours to forecast")

    def read(self) -> RawDataset:
        values = _weather(self.hours)
        view = np.lib.stride_tricks.sliding_window_view
        count = self.hours - self.window - self.horizon + 1
        starts, channels = np.arange(count), tuple(range(len(CHANNELS)))
        target = view(values[self.window :], self.horizon, axis=0).reshape(count, -1)
        return Series(
            name="series",
            target=np.ascontiguousarray(target),
            target_kind="number",
            target_name=f"{', '.join(CHANNELS)}, {self.horizon} steps",
            windows=view(values[: self.hours - self.horizon], self.window, axis=0).transpose(0, 2, 1),
            channels=CHANNELS,
            contiguous=True,
            gap=self.window + self.horizon - 1,
            reach_back=self.window,
            forecast=Forecast(values, CHANNELS, channels, starts, self.window, self.horizon, DAY),
        )


def _weather(hours: int) -> np.ndarray:
    """Return the channels (hours, 3): clouds that come and go dim the radiation, which warms and dries the air."""
    random = np.random.default_rng(11)
    time = np.arange(hours)
    clouds, noise = np.zeros(hours), random.normal(size=(hours, 4))
    for hour in range(1, hours):
        clouds[hour] = 0.97 * clouds[hour - 1] + 0.24 * noise[hour, 0]
    sun = np.sin(2 * np.pi * (time - 6) / DAY).clip(0) / (1 + np.exp(clouds))
    temperature = np.full(hours, 12.0)
    for hour in range(1, hours):
        cooling = 0.06 * (temperature[hour - 1] - 8)
        temperature[hour] = temperature[hour - 1] + 2.4 * sun[hour - 1] - cooling + 0.25 * noise[hour, 1]
    humidity = 95 - 2.2 * temperature + 6 * np.tanh(clouds) + noise[:, 2]
    radiation = (900 * sun + 8 * noise[:, 3]).clip(0)
    return np.stack([temperature, humidity.clip(5, 100), radiation], 1)
