"""Sounds as log-mel spectrograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.field_encoder import FieldEncoder, Scaling
from netloom.modalities.encoding.series_fields import LogMelEncoder, LogMelState, log_mel, mel_filters
from netloom.modalities.fields.modality import Editor, Modality
from netloom.modalities.fields.series import SeriesSettings, TrainingWindows, fit_channels, padded_sound, scale_of
from netloom.modalities.row_field import FileKind
from netloom.modalities.statistics import MAX_CELLS

SPECTROGRAM = "log-mel"  # the value of the setting `sound`
BANDS = 40  # the default; fewer if a band would contain no frequency of a window
# The usual window and hop of speech recognition.
_WINDOW_S, _HOP_S = 0.025, 0.010


class SoundSettings(SeriesSettings):
    """The representation of a sound: its waveform, or a log-mel spectrogram in `bands` from `low` to `high` Hz, with
    windows of `window` samples every `hop` samples."""

    sound: Literal["waveform", "log-mel"] | None = None
    window: Annotated[int, Field(ge=2, le=65_536)] | None = None
    hop: Annotated[int, Field(ge=1, le=65_536)] | None = None
    bands: Annotated[int, Field(ge=1, le=1_024)] | None = None
    low: Annotated[float, Field(ge=0, le=500_000)] | None = None
    high: Annotated[float, Field(gt=0, le=500_000)] | None = None


@dataclass(frozen=True)
class SpectrogramSpec:
    """The geometry of a spectrogram (`steps`, `bands`) of sounds of `samples` at `rate` Hz: windows of `window` samples
    every `hop` samples, bands from `low` to `high` Hz."""

    rate: int
    samples: int
    window: int
    hop: int
    low: float
    high: float
    bands: int

    @property
    def steps(self) -> int:
        # Half a window of padding at both ends
        return (self.samples + 2 * (self.window // 2) - self.window) // self.hop + 1

    def state(self, name: str, mean: Scaling = 0.0, std: Scaling = 1.0) -> LogMelState:
        """Return the fitted state of a field, by default without a scaling of its bands."""
        return LogMelState(
            name=name,
            encoding=LogMelEncoder.encoding,
            shape=[self.steps, self.bands],
            rate=self.rate,
            samples=self.samples,
            window=self.window,
            hop=self.hop,
            low=self.low,
            high=self.high,
            mean=mean,
            std=std,
        )


class LogMelModality(Modality[TrainingWindows]):
    name, order = "log_mel", 30
    kind = "sequence"
    encoders = (LogMelEncoder,)
    editor = Editor.SERIES
    phrase = "series"
    settings, scale_setting = SoundSettings, "scale"
    file_kind = FileKind.SOUND

    def fit(self, name: str, values: TrainingWindows, settings: Mapping[str, Any]) -> LogMelState:
        spec = spectrogram_spec(name, values.windows.shape, values.rate, settings)
        state, rows = spec.state(name), values.rows
        filters = mel_filters(state)
        spectrograms = np.empty((len(rows), spec.steps, spec.bands), np.float32)
        for index, row in enumerate(rows.tolist()):
            spectrograms[index] = log_mel(state, values.windows[row, :, 0].astype(np.float64), filters)
        scale = settings.get("scale", "standard")
        # Band by band, because all bands in float64 may not fit into memory.
        bands = [
            fit_channels(spectrograms[:, :, band].reshape(-1, 1).astype(np.float64), scale)
            for band in range(spec.bands)
        ]
        return spec.state(name, [band.mean[0] for band in bands], [band.std[0] for band in bands])

    def raw_value(self, encoder: FieldEncoder[Any], decoded: Any) -> Any:
        return padded_sound(encoder, decoded)

    def preprocessing(self, encoder: FieldEncoder[Any]) -> str:
        return "the log-mel spectrogram, each band minus its mean, divided by its deviation over the training rows"

    def default_settings(
        self, name: str, prepare: Preparation | ImageNormalization, shape: Sequence[int]
    ) -> JsonObject:
        return {"scale": scale_of(prepare)}


def spectrogram_spec(name: str, shape: tuple[int, ...], rate: int, settings: Mapping[str, Any]) -> SpectrogramSpec:
    """Return the spectrogram for the settings of a field `name`, of sounds with `shape` (R, L, 1) at `rate` Hz.

    Raises:
        DataError: the settings do not fit these sounds, or the spectrograms would not fit into memory.
    """
    rows, samples = shape[:2]
    subject = f"The log-mel spectrogram of {name[:80]!r}"
    # A power of two is the fastest; for sounds shorter than half of it, the longest window that fits.
    usual = min(1 << max(4, round(_WINDOW_S * rate) - 1).bit_length(), max(2, 2 * (samples - 1)))
    window = int(settings.get("window", usual))
    hop = int(settings.get("hop", max(1, min(round(_HOP_S * rate), window // 2))))
    low, high = float(settings.get("low", 0.0)), float(settings.get("high", rate / 2))
    if samples <= window // 2:
        raise DataError(
            f"{subject} needs sounds longer than half a window, {window // 2:,} samples, and these have {samples:,}; "
            "choose a shorter window."
        )
    if not low < high <= rate / 2:
        raise DataError(
            f"{subject} cannot go from {low:g} to {high:g} Hz, as there are {rate:,} samples a second; take 0 or more, "
            f"then a higher frequency of {rate / 2:g} Hz or less."
        )
    spec = SpectrogramSpec(rate, samples, window, hop, low, high, int(settings.get("bands", 0)))
    if not spec.bands:
        spec = replace(spec, bands=_most_bands(spec))
    if rows * spec.steps * spec.bands > MAX_CELLS:
        raise DataError(
            f"{subject} would hold {rows:,} × {spec.steps:,} × {spec.bands:,} numbers, more than fit into memory; "
            "choose a longer hop or fewer bands."
        )
    return spec


def describe(encoder: LogMelEncoder) -> str:
    """Return a description of a spectrogram."""
    state = encoder.state
    steps, bands = encoder.shape
    window_ms, hop_ms = (1000 * samples / state.rate for samples in (state.window, state.hop))
    return (
        f"{steps:,} windows of {window_ms:.3g} ms, a new one every {hop_ms:.3g} ms, in {bands:,} bands from "
        f"{state.low:,.0f} to {state.high:,.0f} Hz"
    )


def empty_bands(state: LogMelState) -> int:
    """Return the number of bands so narrow that no frequency of a window is in them; their value is constant."""
    return int((mel_filters(state).sum(0) <= 0).sum())


def _most_bands(spec: SpectrogramSpec) -> int:
    """Return the default number of bands, or the largest number without an empty band."""
    fewer = (replace(spec, bands=count) for count in range(BANDS, 1, -1))
    return next((spec.bands for spec in fewer if not empty_bands(spec.state(""))), 1)
