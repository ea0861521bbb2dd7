"""Raw windows of time series and sounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from netloom.data.raw.forecast import Forecast
from netloom.data.raw_dataset import RawDataset, in_parts
from netloom.data.schema import Example
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.field_encoder import FieldState
from netloom.modalities.fields.log_mel import SPECTROGRAM, LogMelModality, spectrogram_spec
from netloom.modalities.fields.modality import Modality
from netloom.modalities.fields.series import SeriesModality, TrainingWindows


@dataclass
class Series(RawDataset):
    """Windows (R, T, D) of a series, or sounds (R, L, 1).

    Attributes:
        channels: The D names of the channels.
        rate: The sampling rate of sounds in Hz; 0 for other series.
        forecast: The time steps of the windows, if the target is the future of the series.
        time: The column that ordered these steps; "" if there is none.
        series: The column that names the series of a step; "" if there is one series.
        written: The format of the cells of grouped numbers, by column, as named in `modalities.encoding.coercion`.
    """

    windows: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1)))
    channels: tuple[str, ...] = ("value",)
    rate: int = 0
    forecast: Forecast | None = None
    time: str = ""
    series: str = ""
    written: Mapping[str, str] = field(default_factory=dict)

    def row(self, index: int) -> RawRow:
        return {self.name: self.windows[index]}

    @property
    def modality(self) -> Modality[TrainingWindows]:
        if self.rate and self.settings.get("sound") == SPECTROGRAM:
            return LogMelModality()
        return SeriesModality()

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.channels

    @property
    def accepted_settings(self) -> frozenset[str]:
        return frozenset((LogMelModality if self.rate else SeriesModality).settings.model_fields)

    def with_settings(self, settings: Mapping[str, Any]) -> RawDataset:
        if settings.get("sound") == SPECTROGRAM and self.rate:
            spectrogram_spec(self.name, self.windows.shape, self.rate, settings)  # raises now rather than in `fit`
        return super().with_settings(settings)

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        defaults = self.modality.default_settings(self.name, prepare, self.windows.shape[1:])
        return replace(self, settings={**defaults, **self.settings})

    def fit(self, rows: np.ndarray) -> FieldState:
        training = TrainingWindows(self.windows, rows, self.rate, written=self.written)
        if self.forecast is None:
            return self.modality.fit(self.name, training, self.settings)
        training = replace(training, channels=self.channels, time=self.time, series=self.series)
        if not self.forecast.is_multivariate:
            return self.modality.fit(self.name, training, self.settings)
        # Each time step of the training part counts once, as in the scaling of the target
        values = self.forecast.values[self.forecast.steps(rows)][None]
        fitted = SeriesModality().fit(
            self.name, replace(training, windows=values, rows=np.zeros(1, np.int64)), self.settings
        )
        return replace(fitted, shape=list(self.windows.shape[1:]))

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, series=self.windows[index])

    def content(self) -> Iterable[bytes]:
        return in_parts(self.windows)


def forecast_of(raw: RawDataset) -> Forecast | None:
    """Return the time steps of windows whose target is the future of their series; None for other data."""
    return next((part.forecast for part in raw.parts if isinstance(part, Series)), None)
