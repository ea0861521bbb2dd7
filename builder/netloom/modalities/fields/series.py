"""Series of numbers over time, sounds as waveforms, and matrices such as the adjacencies of a graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.coercion import symbol_of
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.series_fields import SeriesEncoder, SeriesState
from netloom.modalities.fields.modality import Editor, Modality
from netloom.modalities.row_field import FileKind
from netloom.modalities.settings import Settings
from netloom.modalities.statistics import MAX_CELLS, divisor, moments

_CHUNK = 256
_SCALES = {"standardize": "standard", "scale": "minmax", "none": "none"}


class SeriesSettings(Settings):
    """The scaling of each channel."""

    scale: Literal["standard", "minmax", "none"] | None = None


@dataclass(frozen=True)
class TrainingWindows:
    """The input of `fit`: windows (R, T, D) or sounds (R, L, 1), and the row numbers of the training split.

    `rate` is the sampling rate of sounds in Hz; 0 for other series. `channels` are the D names of the channels of long
    series, from which the windows were taken, `time` is the column that ordered their rows, if any, and `series` that
    which names the series of a row, if there are several. `written` is the format of the cells of numbers in a file, by
    column.
    """

    windows: np.ndarray
    rows: np.ndarray
    rate: int = 0
    channels: tuple[str, ...] = ()
    time: str = ""
    series: str = ""
    written: Mapping[str, str] = field(default_factory=dict)


class SeriesModality(Modality[TrainingWindows]):
    name, order = "series", 20
    kind = "sequence"
    encoders = (SeriesEncoder,)
    editor = Editor.SERIES
    phrase = "series"
    settings, scale_setting = SeriesSettings, "scale"
    file_kind = FileKind.SOUND

    def fit(self, name: str, values: TrainingWindows, settings: Mapping[str, Any]) -> SeriesState:
        scaling = fit_windows(values.windows, values.rows, settings.get("scale", "standard"))
        symbols = {channel: symbol_of(values.written.get(channel)) for channel in values.channels}
        return SeriesState(
            name=name,
            encoding=SeriesEncoder.encoding,
            shape=list(values.windows.shape[1:]),
            rate=values.rate,
            channels=list(values.channels) or (),
            time=values.time,
            series=values.series,
            symbols={channel: symbol for channel, symbol in symbols.items() if symbol is not None},
            mean=scaling.mean,
            std=scaling.std,
        )

    def unscaled(self, name: str, shape: Sequence[int]) -> SeriesState:
        """Return the state of a field that is not scaled, such as an adjacency matrix, whose numbers have no unit."""
        return SeriesState(name=name, encoding=SeriesEncoder.encoding, shape=list(shape), mean=0.0, std=1.0)

    def file_kind_of(self, encoder: FieldEncoder[Any]) -> FileKind | None:
        # Other series than sounds have no sampling rate, by which a file could be read
        return self.file_kind if encoder.sample_rate else None

    def raw_value(self, encoder: FieldEncoder[Any], decoded: Any) -> Any:
        return padded_sound(encoder, decoded)

    def preprocessing(self, encoder: FieldEncoder[Any]) -> str:
        return "minus their mean, divided by their standard deviation over the training rows"

    def default_settings(
        self, name: str, prepare: Preparation | ImageNormalization, shape: Sequence[int]
    ) -> JsonObject:
        return {"scale": scale_of(prepare)}


def padded_sound(encoder: FieldEncoder[Any], samples: np.ndarray) -> np.ndarray:
    """Return a sound (L,) with the length of a field, (samples, 1): cut, or ending in silence."""
    length = encoder.raw_shape[0]
    padded = np.zeros((length, 1))
    padded[: len(samples), 0] = samples[:length]
    return padded


def scale_of(prepare: Preparation | ImageNormalization) -> str:
    """Return the scaling of numbers without a setting of their column or field."""
    return _SCALES[prepare] if isinstance(prepare, str) else "none"


class ChannelScaling(NamedTuple):
    """The scaling (x - `mean`) / `std` of each of D channels."""

    mean: list[float]
    std: list[float]


def fit_channels(values: np.ndarray, scale: str) -> ChannelScaling:
    """Return the scaling of the channels of series (N, D)."""
    if scale == "none":
        return ChannelScaling([0.0] * values.shape[1], [1.0] * values.shape[1])
    if scale == "minmax":
        low, high = values.min(0), values.max(0)
        return ChannelScaling(low.tolist(), np.where(high > low, high - low, 1.0).tolist())
    stds = [divisor(float(channel.std()), float(abs(channel).max())) for channel in values.T]
    return ChannelScaling(values.mean(0).tolist(), stds)


def fit_windows(windows: np.ndarray, rows: np.ndarray, scale: str) -> ChannelScaling:
    """Return the scaling of the channels of windows (R, T, D), computed in parts if they do not fit into memory."""
    if len(rows) * math.prod(windows.shape[1:]) <= MAX_CELLS:
        return fit_channels(windows[rows].reshape(-1, windows.shape[2]), scale)
    if scale == "none":
        return fit_channels(windows[:0].reshape(-1, windows.shape[2]), scale)
    ordered = np.sort(rows)  # so that a part is a contiguous read of the file
    parts = [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]
    lows, highs = (np.array([extreme(windows[part], (0, 1)) for part in parts]) for extreme in (np.min, np.max))
    low, high = lows.min(0).astype(np.float64), highs.max(0).astype(np.float64)
    if scale == "minmax":
        return ChannelScaling(low.tolist(), np.where(high > low, high - low, 1.0).tolist())
    channels = [moments(windows[:, :, channel], ordered) for channel in range(windows.shape[2])]
    largest = np.maximum(abs(low), abs(high)).tolist()
    stds = [divisor(std, most) for (_, std), most in zip(channels, largest, strict=True)]
    return ChannelScaling([mean for mean, _ in channels], stds)
