"""Encodes series of numbers over time, and sounds as log-mel spectrograms."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from netloom.modalities.encoding.cells import LARGEST_ENCODED, EncodeError, RawRow, array_of
from netloom.modalities.encoding.column_encoder import CellReader
from netloom.modalities.encoding.field_encoder import (
    FieldState,
    ListReader,
    RowDisplay,
    Scaled,
    ScaledEncoder,
    Scaling,
)
from netloom.modalities.encoding.number_column import NumberEncoder, NumberState


@dataclass(frozen=True, kw_only=True)
class SeriesState(FieldState):
    """The state of a series (T, D); sounds have a `rate`, the sampling rate in Hz. `channels` are the names of the
    columns of long series, from which windows were taken, `time` is that of the column that ordered their rows, and
    `series` that of the column that names the series of a row, if there were several. `symbols` has the channels whose
    numbers have grouped digits in files, each with the symbol of its numbers, or "".
    """

    shape: Sequence[int]
    rate: int = 0
    channels: Sequence[str] = ()
    time: str = ""
    series: str = ""
    symbols: Mapping[str, str] = field(default_factory=dict)
    mean: Scaling
    std: Scaling


@dataclass(frozen=True, kw_only=True)
class LogMelState(FieldState):
    """The state of a spectrogram (T, bands): sounds of `samples` at `rate` Hz, in windows of `window` samples every
    `hop` samples, with bands from `low` to `high` Hz."""

    shape: Sequence[int]
    rate: int
    samples: int
    window: int
    hop: int
    low: float
    high: float
    mean: Scaling
    std: Scaling


class SeriesEncoder(ScaledEncoder[SeriesState]):
    """Encodes series as (N, T, D), scaled by channel."""

    encoding = "series"
    state_type = SeriesState

    @property
    def scaled(self) -> Scaled:
        return self.state

    @property
    def rate(self) -> float:
        return float(self.sample_rate)

    @property
    def sample_rate(self) -> int:
        return self.state.rate

    @property
    def step_columns(self) -> tuple[str, ...]:
        return tuple(self.state.channels)

    @property
    def time_column(self) -> str:
        return self.state.time

    @property
    def series_column(self) -> str:
        return self.state.series

    def step_reader(self, column: str) -> CellReader:
        symbol = self.state.symbols.get(column)
        plain = NumberState(name=column, type=NumberEncoder.type, mean=0.0, std=1.0)
        return NumberEncoder(replace(plain, grouped=symbol is not None, symbol=symbol or ""))

    @property
    def cell_reader(self) -> CellReader:
        return ListReader()

    @property
    def takes_unnamed_numbers(self) -> bool:
        return self.shape[1] == 1 and not self.step_columns

    def joined_cells(self, names: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
        """Return the columns of the steps. Of one column more, the first or the last has the class: the only one of the
        two with nothing but whole numbers; otherwise, none are returned."""
        if not self.takes_unnamed_numbers or not lines:
            return [], []
        places = [place for place in range(len(names)) if _has_numbers(lines, place)]
        if len(places) == self.shape[0] + 1:
            whole = [place for place in (places[0], places[-1]) if all(_is_whole(line[place:]) for line in lines)]
            places = [place for place in places if [place] != whole]
        if len(places) != self.shape[0]:
            return [], []
        rows = [[_step(line[place]) if place < len(line) else None for place in places] for line in lines]
        return [names[place] for place in places], [json.dumps(row) for row in rows]

    def shown(self, row: RawRow) -> RowDisplay:
        return {"series": np.asarray(self.raw_value(row), dtype=np.float64).reshape(self.shape)}

    def encode(self, rows: list[RawRow]) -> np.ndarray:
        steps, width = self.shape
        mean, std, series = self.mean, self.std, []
        for row in rows:
            values = array_of(row, self.name, np.float64, has_gaps=bool(self.step_columns))
            values = values[:, None] if values.ndim == 1 else values
            if values.shape != (steps, width):
                raise EncodeError(f"A series must have {steps} steps of {width} values, received {values.shape}.")
            values = fill_gaps(values)
            if np.isnan(values).any():
                raise EncodeError(f"{self.name!r} has a column without a single number.")
            series.append((values - mean) / std)
        return np.stack(series).clip(-LARGEST_ENCODED, LARGEST_ENCODED).astype(np.float32)


def _has_numbers(lines: Sequence[Sequence[str]], place: int) -> bool:
    """Return whether the first cell of a column that is not missing is a number."""
    cells = (line[place] for line in lines if place < len(line))
    return _number(next(filter(None, cells), "")) is not None


def _step(cell: str) -> float | str | None:
    """Return the number in a cell, or else its text, which `encode` refuses; None if it is missing."""
    number = _number(cell)
    return (cell or None) if number is None else number


def _number(cell: str) -> float | None:
    """Return the finite number in a cell; None if there is none."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_whole(cells: Sequence[str]) -> bool:
    """Return whether the first cell is a whole number."""
    number = _number(cells[0]) if cells else None
    return number is not None and number.is_integer()


class LogMelEncoder(ScaledEncoder[LogMelState]):
    """Encodes sounds (L,) as spectrograms (N, T, bands), scaled by band."""

    encoding = "log_mel"
    state_type = LogMelState

    @property
    def scaled(self) -> Scaled:
        return self.state

    @property
    def rate(self) -> float:
        return self.state.rate / self.state.hop

    @property
    def sample_rate(self) -> int:
        return self.state.rate

    @property
    def raw_shape(self) -> tuple[int, ...]:
        return (self.state.samples, 1)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The peak frequency of each band, with as few digits as needed to be distinct."""
        peaks = mel_edges(self.state.low, self.state.high, self.shape[1])[1:-1]
        rounded = [tuple(f"{peak:,.{digits}f} Hz" for peak in peaks) for digits in range(4)]
        return next((names for names in rounded if len(set(names)) == len(names)), rounded[-1])

    @property
    def cell_reader(self) -> CellReader:
        return ListReader()

    def shown(self, row: RawRow) -> RowDisplay:
        samples = np.asarray(self.raw_value(row), dtype=np.float64).reshape(-1)
        return {"series": log_mel(self.state, samples, mel_filters(self.state))}

    def shown_encoded(self, row: RawRow) -> RowDisplay:
        return self.shown(row)

    def encode(self, rows: list[RawRow]) -> np.ndarray:
        state, mean, std = self.state, self.mean, self.std
        filters = mel_filters(state)
        spectrograms = []
        for row in rows:
            samples = array_of(row, self.name, np.float64)
            samples = samples[:, 0] if samples.ndim == 2 and samples.shape[1] == 1 else samples
            if samples.shape != (state.samples,):
                raise EncodeError(
                    f"{self.name!r} must have {state.samples:,} samples at {state.rate:,} Hz, received {samples.shape}."
                )
            spectrograms.append((log_mel(state, samples, filters) - mean) / std)
        return np.stack(spectrograms).clip(-LARGEST_ENCODED, LARGEST_ENCODED).astype(np.float32)


def fill_gaps(values: np.ndarray) -> np.ndarray:
    """Return the steps of a long series (T, D) with each NaN replaced by the number before it, and those before the
    first number by that, as in the import; NaN only where a column has no number."""
    for ordered in (slice(None), slice(None, None, -1)):
        if not np.isnan(values).any():
            break
        backward = values[ordered]
        known = np.where(np.isnan(backward), 0, np.arange(len(values))[:, None])
        values = np.take_along_axis(backward, np.maximum.accumulate(known, axis=0), axis=0)[ordered]
    return values


def log_mel(state: LogMelState, samples: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Return the logarithm of the power of a sound (L,) in mel bands, (T, bands).

    The computation equals that of the LogMel layer: Hann windows, reflection padding of half a window at both ends, and
    10⁻⁶ added before the logarithm.
    """
    window, half = state.window, state.window // 2
    # Periodic, as torch.hann_window; np.hanning is symmetric
    hann = 0.5 - 0.5 * np.cos(np.arange(window) * (2 * math.pi / window))
    padded = np.pad(samples, half, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)[:: state.hop]
    spectrum = np.fft.rfft(windows * hann)
    power: np.ndarray = np.log((spectrum.real**2 + spectrum.imag**2) @ filters + 1e-6)
    return power


def mel_edges(low: float, high: float, bands: int) -> np.ndarray:
    """Return the edges of mel bands in Hz (bands + 2,): band i begins at edge i, peaks at i + 1 and ends at i + 2.

    https://en.wikipedia.org/wiki/Mel_scale
    """
    first, last = (2595.0 * math.log10(1.0 + hertz / 700.0) for hertz in (low, high))
    edges: np.ndarray = 700.0 * (10.0 ** (np.linspace(first, last, bands + 2) / 2595.0) - 1.0)
    return edges


def mel_filters(state: LogMelState) -> np.ndarray:
    """Return the weights of the frequencies of a window in overlapping triangular bands, (window // 2 + 1, bands)."""
    edges = mel_edges(state.low, state.high, state.shape[1])
    frequencies = (np.arange(state.window // 2 + 1) * (state.rate / state.window))[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    filters: np.ndarray = np.minimum(rising, falling).clip(min=0.0)
    return filters
