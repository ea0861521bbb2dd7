"""Windows of time series: where they start, their parts of a split, and the season of their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.data.limits import MAX_CELLS
from netloom.data.splits.given_splits import NAMES, NO_PART

if TYPE_CHECKING:
    import pandas as pd

DAY = 86_400.0  # seconds
# The usual season of a sampling step in days: monthly, quarterly and weekly values repeat after a year.
_SEASONS = ((27.5, 31.5, 12), (89.0, 93.0, 4), (6.9, 7.1, 52))


def window_starts(rows: int, series_index: np.ndarray | None, needed: int, warnings: list[str]) -> np.ndarray:
    """Return the first rows of the windows that, with their forecast values, end within their series."""
    starts = np.arange(max(0, rows - needed + 1))
    if series_index is None:
        return starts
    short = int((np.bincount(series_index) < needed).sum())
    if short:
        warnings.append(f"Left out {short:,} series of fewer than {needed:,} rows.")
    starts_within: np.ndarray = starts[series_index[starts] == series_index[starts + needed - 1]]
    return starts_within


def parts_of_windows(
    parts: np.ndarray, starts: np.ndarray, window: int, horizon: int, *, reach_back: bool, warnings: list[str]
) -> np.ndarray:
    """Return the part of each window (R,): that of the steps that it forecasts.

    A window is in no part if it forecasts steps of two parts, or reads steps of another part: training would see values
    of the test. With `reach_back`, it may read steps of an earlier part, such as a test window those of training.

    Args:
        parts: The part of each time step (T,).
        starts: The first step of each window (R,).
    """
    first = starts + window
    of_target = parts[first]
    changes = np.concatenate([[0], np.cumsum(parts[1:] != parts[:-1])])
    begin = first if reach_back else starts
    is_within_part = changes[begin] == changes[first + horizon - 1]
    if reach_back:
        for part in range(len(NAMES)):
            # The window of this part reads no step of a later one, and none that is in no part
            unread = np.concatenate([[0], np.cumsum((parts > part) | (parts == NO_PART))])
            is_within_part &= (of_target != part) | (unread[first] == unread[starts])
    if spanning := int((~is_within_part).sum()):
        where = "with forecast steps in" if reach_back else "across"
        warnings.append(f"Left out {counted(spanning, 'window')} {where} two parts of the split.")
    window_parts: np.ndarray = np.where(is_within_part, of_target, NO_PART)
    return window_parts


def reach_in_rows(starts: np.ndarray, series_index: np.ndarray, reach: int) -> int:
    """Return the largest distance, in windows sorted by time, of two windows of one series that share a value.

    Windows of other series lie between them, so that it is a multiple of `reach`, the distance within one series.
    """
    largest = 0
    for series in np.unique(series_index):
        positions = np.flatnonzero(series_index == series)
        last = np.minimum(np.arange(len(positions)) + reach, len(positions) - 1)
        largest = max(largest, int((positions[last] - positions).max()))
    return largest


def season(times: pd.Series | None, rows: int) -> int:
    """Return the usual season of values at these times (R,) in steps, such as 12 for months and 24 for hours.

    1 if the times are unknown, are not dates, have no usual season, or `rows` does not cover the season twice.
    """
    import pandas as pd

    if times is None or not pd.api.types.is_datetime64_any_dtype(times):
        return 1
    steps = times.dropna().drop_duplicates().sort_values().diff().dropna()
    if not len(steps):
        return 1
    days = float(steps.dt.total_seconds().median()) / DAY
    period = next((period for low, high, period in _SEASONS if low <= days <= high), 1)
    if days == 1:
        period = 7 if (times.dt.day_of_week >= 5).any() else 5  # markets are closed on weekends
    elif 0 < days < 1 and (1 / days).is_integer():
        period = round(1 / days)
    return period if rows >= 2 * period else 1


def numbers_of(times: pd.Series) -> np.ndarray:
    """Return times (R,) as numbers; dates as days since the first."""
    import pandas as pd

    if not pd.api.types.is_datetime64_any_dtype(times):
        return times.to_numpy(dtype=np.float64)
    days: np.ndarray = ((times - times.min()).dt.total_seconds() / DAY).to_numpy()
    return days


def check_size(
    shape: tuple[int, ...], count: int, window: int, horizon: int, targets: int, warnings: Sequence[str]
) -> None:
    """Check the number of windows of values with this shape (steps, channels); `warnings` name rows that are left out.

    Raises:
        DataError: There is none, or they are too many numbers.
    """
    steps, channels = shape
    if count < 1:
        problem = f"{steps:,} rows are too few for a window of {window} and a horizon of {horizon}"
        raise DataError(" ".join([f"{problem}; choose a shorter window.", *warnings[:3]]))
    if count * max(window * channels, horizon * targets) > MAX_CELLS:
        raise DataError(
            f"{count:,} windows of {window} steps and {channels} columns, and a horizon of {horizon}, are too many "
            "numbers; choose a shorter window or horizon, or fewer columns."
        )


def window_views(
    values: np.ndarray, places: tuple[int, ...], window: int, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return all windows (rows, window, channels) and the steps that follow them (rows, targets * horizon), those of
    one target after those of the other. Windows are views, copied only for the chosen starts."""
    view = np.lib.stride_tricks.sliding_window_view
    windows = view(values[: len(values) - horizon], window, axis=0).transpose(0, 2, 1)
    answers = view(values[window:][:, places], horizon, axis=0).reshape(len(values) - window - horizon + 1, -1)
    return windows, answers


def positions_in_series(series_index: np.ndarray) -> np.ndarray:
    """Return the position of each row in its series."""
    return np.arange(len(series_index)) - np.searchsorted(series_index, series_index)
