"""The series behind windows whose target is the future: which time steps a window reads and forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from netloom.data.schema import ForecastTarget
from netloom.modalities.statistics import deviations


@dataclass(frozen=True)
class Forecast:
    """The time steps of R windows. Window r reads steps `starts[r]` and later, and forecasts those after it.

    Attributes:
        values: (T, D), all time steps; several series are one below the other.
        names: The D names of the channels.
        targets: The indices of the C channels to forecast.
        starts: (R,), the first time step of each window.
        window: The number of steps that a window reads.
        horizon: The number of steps to forecast.
        period: The season of the naive forecast in steps; 1 repeats the last value, None searches the season.
        series_index: (T,), the index of the series of each step, if there are several.
    """

    values: np.ndarray
    names: tuple[str, ...]
    targets: tuple[int, ...]
    starts: np.ndarray
    window: int
    horizon: int
    period: int | None = None
    series_index: np.ndarray | None = None

    @property
    def is_multivariate(self) -> bool:
        """Whether several channels are forecast, which may have different units."""
        return len(self.targets) > 1

    @property
    def target(self) -> ForecastTarget:
        return ForecastTarget(tuple(self.names[channel] for channel in self.targets), self.horizon)

    @property
    def season(self) -> int:
        """The season of the naive forecast by which errors are scaled; 1 if none is known."""
        return self.period or 1

    def steps(self, rows: np.ndarray) -> np.ndarray:
        """Return whether each time step is in one of these windows or in what it forecasts, (T,)."""
        return _covered(len(self.values), self.starts[rows], self.window + self.horizon)

    def target_steps(self, rows: np.ndarray) -> np.ndarray:
        """Return whether each time step is forecast by one of these windows, (T,)."""
        return _covered(len(self.values), self.starts[rows] + self.window, self.horizon)

    def naive(self, rows: np.ndarray, period: int) -> np.ndarray:
        """Return the seasonal naive forecast (N, C, horizon): each value is that of the last season before it.

        Hyndman and Athanasopoulos, Forecasting: principles and practice, https://otexts.com/fpp3/simple-methods.html.
        Where a series does not begin one season before, the last value is repeated.
        """
        ends = self.starts[rows][:, None] + self.window  # (N, 1), the first step to forecast
        steps = ends - period + np.arange(self.horizon) % period
        first = 0 if self.series_index is None else np.searchsorted(self.series_index, self.series_index[ends])
        steps = np.where(ends - period >= first, steps, ends - 1)
        values: np.ndarray = self.values[steps][:, :, list(self.targets)]
        return values.transpose(0, 2, 1)

    def naive_errors(self, rows: np.ndarray) -> np.ndarray:
        """Return the mean absolute error (C,) of the one-season naive forecast within the steps of training `rows`.

        It is the divisor of the mean absolute scaled error; NaN where it is 0 or unknown. Hyndman and Koehler, 2006,
        https://doi.org/10.1016/j.ijforecast.2006.03.001.
        """
        known, season = self.steps(rows), self.season
        pairs = known[season:] & known[:-season]
        if self.series_index is not None:
            pairs &= self.series_index[season:] == self.series_index[:-season]
        values = self.values[:, list(self.targets)]
        if not pairs.any():
            return np.full(len(self.targets), np.nan)
        errors: np.ndarray = np.abs(values[season:] - values[:-season])[pairs].mean(0)
        return np.where(errors > 0, errors, np.nan)

    def deviations(self, rows: np.ndarray) -> np.ndarray:
        """Return the standard deviations (C,) over the time steps of training `rows`; 1 for constant channels."""
        return deviations(self.values[self.steps(rows)][:, list(self.targets)])

    def reaching_back(self, split: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Return for each part of a split how many of its windows read steps that another part forecasts."""
        reaching = {}
        for name, rows in split.items():
            other_parts = [self.target_steps(part) for other_name, part in split.items() if other_name != name]
            counts = np.concatenate([[0], np.cumsum(np.any(other_parts, axis=0))])
            starts = self.starts[rows]
            reaching[name] = int((counts[starts + self.window] > counts[starts]).sum())
        return reaching


def _covered(length: int, starts: np.ndarray, width: int) -> np.ndarray:
    """Return whether each of `length` steps is in one of the spans of `width` steps."""
    changes = np.zeros(length + width + 1, dtype=np.int64)
    np.add.at(changes, starts, 1)
    np.add.at(changes, starts + width, -1)
    covered: np.ndarray = changes.cumsum()[:length] > 0
    return covered
