"""Raw windows of time series and sounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from netloom.data.raw_dataset import RawDataset, in_parts
from netloom.data.schema import Example
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.fields.log_mel import SPECTROGRAM, LogMelModality, spectrogram_spec
from netloom.modalities.fields.modality import Fitted, Modality
from netloom.modalities.fields.series import SeriesModality, TrainingWindows


@dataclass
class Series(RawDataset):
    """Windows (R, T, D) of a series, or sounds (R, L, 1).

    Attributes:
        channels: The D names of the channels.
        rate: The sampling rate of sounds in Hz; 0 for other series.
    """

    windows: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1)))
    channels: tuple[str, ...] = ("value",)
    rate: int = 0

    def row(self, index: int) -> dict[str, Any]:
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

    def fit(self, rows: np.ndarray) -> Fitted:
        return self.modality.fit(self.name, TrainingWindows(self.windows, rows, self.rate), self.settings)

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, series=self.windows[index])

    def content(self) -> Iterable[bytes]:
        return in_parts(self.windows)
