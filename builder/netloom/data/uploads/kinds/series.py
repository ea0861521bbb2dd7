"""Time series: the next values are forecast from a window of past values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.text import counted
from netloom.data.raw.forecast import Forecast
from netloom.data.raw.series import Series as RawSeries
from netloom.data.raw_dataset import RawDataset
from netloom.data.uploads.chosen import Chosen, listed
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.series.series_times import MIN_DISTINCT, in_order_of_time, unread_times_note
from netloom.data.uploads.series.series_windows import (
    check_size,
    numbers_of,
    parts_of_windows,
    positions_in_series,
    reach_in_rows,
    season,
    window_starts,
    window_views,
)
from netloom.data.uploads.tabular import Tabular, no_number, numeric
from netloom.data.uploads.upload_kind import Answers, Question

if TYPE_CHECKING:
    import pandas as pd

MAX_CHANNELS = 64
_TIME = re.compile(r"(?i)(date|time|year|yr|month|quarter|week|day|hour)s?")
_UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)?")
FLAGS = 5  # a column with at most this number of distinct values is more likely a flag than a measurement
FEWEST, REGULAR = 20, 0.9  # rows per series, and the share of equal time steps, to infer several series
EVEN = 0.5  # the share of equal steps of numbered times, such as 20240131, whose steps between months are larger


class Series(Tabular):
    """A column of times and numeric columns."""

    name = "series"
    title = "Series over time"
    about = "A column of times and numeric columns: the next values are forecast from a window of past values."
    kind = "series"
    target_question = "target"
    asks_in_documents = True
    # Older uploads keep their windows and their naive forecast
    older_answers: ClassVar = {"split": None, "reach_back": False, "period": None}
    specific_questions = (
        Question("time", "Time column", "choice", "Orders the rows", optional=True, empty="rows are in order"),
        Question(
            "series",
            "Series ID",
            "choice",
            "Column that identifies the series of a row, such as the shop, if the table holds several series",
            optional=True,
            empty="one series",
        ),
        Question(
            "target",
            "Columns to predict",
            "several",
            "The series to forecast; those of several columns are forecast by one network",
        ),
        Question(
            "values",
            "Input features",
            "several",
            "Columns in the window: those to forecast are always read, others only help to forecast them",
        ),
        Question(
            "window", "Window", "whole", "Number of past steps that the model sees", low=2, high=2_048, default=24
        ),
        Question("horizon", "Horizon", "whole", "Number of future steps to forecast", low=1, high=512, default=1),
        Question(
            "period",
            "Season",
            "whole",
            "Steps after which values repeat, such as 12 for months. The naive forecast to beat is the value one "
            "season before; 1 repeats the last value",
            low=1,
            high=100_000,
            optional=True,
            empty="the best on the training part",
        ),
        Question(
            "reach_back",
            "Windows reach back",
            "switch",
            "The first windows of a part may read the last steps of the part before, as a forecast in use does; no "
            "step is forecast in two parts",
            default=True,
        ),
    )

    def suits(self, table: pd.DataFrame) -> float:
        times, numbers = _dated(table), numeric(table)
        if not times and _counted_time(table) is not None:
            return 0.6
        if len(times) != 1 or not numbers or len(table) < 2 * FEWEST:
            return 0.0
        if _several(table, times[0]):
            return 0.7
        if len(numbers) + 1 < table.shape[1] or any(table[name].nunique() <= FLAGS for name in numbers[-1:]):
            return 0.0
        return 0.2 if _twice(table, times[0]) else 0.7  # several rows per time are more likely a table

    def guesses(self, table: pd.DataFrame, answers: Answers) -> JsonObject:
        time = answers["time"] if "time" in answers else next(iter(_dated(table)), _counted_time(table))
        several = answers["series"] if "series" in answers else _several(table, time)
        names = [name for name in numeric(table) if name not in (time, several) and not _counts_rows(table, name)]
        numbers = names or [str(table.columns[-1])]
        varied = [name for name in names if table[name].nunique() > FLAGS]  # a flag is rarely forecast
        target = listed(answers.get("target")) or [(varied or numbers)[-1]]
        rows = len(table) // (table[several].nunique() or 1) if several in table.columns else len(table)
        return {
            "time": time,
            "series": several,
            "target": target,
            "values": numbers[:MAX_CHANNELS],
            "window": max(2, min(24, rows // 12)),
            "period": season(table[time] if time in table.columns else None, rows),
        }

    def learned(self, source: Source, answers: Answers) -> str:
        horizon, window = answers.get("horizon"), answers.get("window")
        ahead = "value" if horizon == 1 else f"{horizon} values"
        targets = listed(answers.get("target"))
        named = ", ".join(map(repr, targets)) if len(targets) <= 4 else f"each of {len(targets)} columns"
        each = f", for each series of {answers['series']!r}" if answers.get("series") else ""
        return f"Forecast the next {ahead} of {named} from the {window} steps before{each}."

    def target_phrase(self, answers: Answers) -> str:
        return f"forecasts {_title(listed(answers['target']))}"

    def from_table(
        self, table: pd.DataFrame, options: Chosen, title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        chosen, names, targets = options, options.several("values"), options.several("target")
        window, horizon, reach_back = chosen.whole("window"), chosen.whole("horizon"), chosen.switch("reach_back")
        # Several targets are the first channels, so that a network can take them from the window
        channels = list(dict.fromkeys(names if len(targets) == 1 and targets[0] in names else [*targets, *names]))
        time, series = chosen.optional_choice("time"), chosen.optional_choice("series")
        _refuse(table, channels, time, series)
        warnings: list[str] = []
        written: dict[str, str] = table.attrs.get("written", {})
        if time is None and (unread := unread_times_note(table)):
            warnings.append(unread)
        table, row_numbers = in_order_of_time(table, time, series, warnings)
        series_index = None if series is None else _numbered(table[series])
        values = np.column_stack([_filled(table[name], name, series_index, warnings) for name in channels])
        positions = tuple(map(channels.index, dict.fromkeys(targets)))
        starts = window_starts(len(values), series_index, window + horizon, warnings)
        check_size(values.shape, len(starts), window, horizon, len(positions), warnings)
        windows, answers = window_views(values, positions, window, horizon)
        gap, target_gap = window + horizon - 1, horizon - 1  # so that two parts of the split share no value, or target
        times = None
        if series_index is not None:
            moments = positions_in_series(series_index) if time is None else numbers_of(table[time])
            starts = starts[np.argsort(moments[starts + window], kind="stable")]
            windows, answers = windows[starts], answers[starts]
            gap, target_gap = (reach_in_rows(starts, series_index[starts], reach) for reach in (gap, target_gap))
            if reach_back:  # no time is forecast in two parts, whatever the series
                times = moments[starts + window].astype(np.float64)
        split = None
        if parts is not None:
            of_steps = parts[row_numbers]
            split = parts_of_windows(of_steps, starts, window, horizon, reach_back=reach_back, warnings=warnings)
        period = chosen.optional_whole("period")
        name = _title([channels[channel] for channel in positions])
        return RawSeries(
            name="series",
            target=np.ascontiguousarray(answers),
            target_kind="number",
            target_name=name if horizon == 1 else f"{name}, {horizon} steps",
            windows=windows,
            channels=tuple(channels),
            time=time or "",
            series=series or "",
            written=written,
            contiguous=True,
            given=split,
            gap=gap,
            reach_back=gap - target_gap if reach_back else 0,
            groups=None if series_index is None else series_index[starts],
            times=times,
            warnings=warnings,
            forecast=Forecast(values, tuple(channels), positions, starts, window, horizon, period, series_index),
        )


def _title(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} series"


def _dated(table: pd.DataFrame) -> list[str]:
    """Return the names of the date columns."""
    import pandas as pd

    return [str(name) for name, values in table.items() if pd.api.types.is_datetime64_any_dtype(values)]


def _counted_time(table: pd.DataFrame) -> str | None:
    """Return the column of times as numbers, such as years, in a table of one series; None if it is another table."""
    names = [str(name) for name in table.columns if not _counts_rows(table, str(name))]
    if len(names) != 2 or {*names} - {*numeric(table)} or len(table) < 2 * FEWEST:
        return None
    times = [name for name in names if _TIME.fullmatch(name.strip())]
    if len(times) != 1 or table[times[0]].isna().any():
        return None
    steps = table[times[0]].diff().iloc[1:]
    # Hours at uneven steps are more likely a feature, such as those that students learned
    if not (steps > 0).all() or _regular_share(steps, steps.median()) < EVEN:
        return None
    values = table[names[0] if times[0] == names[1] else names[1]]
    return times[0] if values.nunique() > FLAGS else None


def _counts_rows(table: pd.DataFrame, name: str) -> bool:
    """Return whether a column without a name numbers the rows, as R and pandas write it."""
    if not _UNNAMED.fullmatch(name) or name not in numeric(table):
        return False
    return bool((table[name].diff().iloc[1:] == 1).all())


def _twice(table: pd.DataFrame, time: str) -> bool:
    """Return whether many rows share their time with others."""
    return bool(table[time].dropna().nunique() < MIN_DISTINCT * len(table))


def _several(table: pd.DataFrame, time: Any) -> str | None:
    """Return the column that identifies the series of a row, if a table holds several; None if it does not.

    Within each of its values, times are unique and evenly spaced.
    """
    import pandas as pd

    if time not in table.columns or not _twice(table, time):
        return None
    kinds = pd.api.types
    for label, values in table.items():
        name, named = str(label), kinds.is_string_dtype(values) or kinds.is_integer_dtype(values)
        if not named or name == time or not 2 <= values.nunique() <= len(table) // FEWEST:
            continue
        if table.duplicated([name, time]).mean() > 0.02:
            continue
        sorted_rows = table[[name, time]].dropna().sort_values([name, time])
        steps = sorted_rows.groupby(name, observed=True)[time].diff().dropna()
        usual = steps.groupby(sorted_rows[name], observed=True).transform("median")
        if len(steps) and _regular_share(steps, usual) >= REGULAR:
            return name
    return None


def _regular_share(steps: pd.Series, usual: Any) -> float:
    """Return the share of the steps that are about as long as usual; months are within 15% of their median length."""
    return float((abs(steps - usual) <= 0.15 * usual).mean())


def unnamed_series_note(table: pd.DataFrame) -> str:
    """Return a note on a table that looks like several series without a column that identifies them; "" for others."""
    times = _dated(table)
    if len(times) != 1 or not numeric(table) or not _twice(table, times[0]):
        return ""
    counts = table[times[0]].value_counts()
    if len(counts) < FEWEST or counts.iloc[0] < 2 or float((counts == counts.iloc[0]).mean()) < REGULAR:
        return ""
    if _several(table, times[0]):  # last, as it takes the longest
        return ""
    often = {2: "twice", 3: "three times"}.get(int(counts.iloc[0]), f"{counts.iloc[0]:,} times")
    return (
        f"Each time in {times[0]!r} occurs {often}, and no column distinguishes these rows, so they are read as a "
        "table without order; to forecast, add a column that identifies the series of a row, or keep one row per time."
    )


def _numbered(values: pd.Series) -> np.ndarray:
    """Return the index of the series of each row (R,), ascending, as the rows are sorted by series."""
    import pandas as pd

    return pd.factorize(values)[0].astype(np.int64)


def _refuse(table: pd.DataFrame, names: list[str], time: str | None, several: str | None) -> None:
    numbers = numeric(table)
    if several is not None and several in (time, *names):
        raise DataError(f"{several!r} is the series ID; choose other columns as time, inputs and target.")
    for name in names:
        if name not in numbers:
            raise no_number(
                table[name], f"The column {name!r} is not numeric, so it is not a series; choose numeric columns."
            )
        if name == time:
            raise DataError(f"{name!r} is the time; choose other columns as inputs and target.")
    if len(set(names)) > MAX_CHANNELS:
        raise DataError(f"A window holds at most {MAX_CHANNELS} columns; {len(set(names))} were chosen.")


def _filled(values: pd.Series, name: str, series_index: np.ndarray | None, warnings: list[str]) -> np.ndarray:
    """Return a column of finite numbers. A missing value is that before it: later ones are unknown at the time.

    Before the first number of a series, there is only the number after it.
    """
    column = values.to_numpy(dtype=np.float64, na_value=np.nan)
    column = np.where(abs(column) > 1e100, np.nan, column)
    missing = int(np.isnan(column).sum())
    if missing == len(column):
        raise DataError(f"The column {name!r} has no numbers.")
    if missing:
        import pandas as pd

        groups = np.zeros(len(column)) if series_index is None else series_index
        after_first = pd.Series(column).groupby(groups).ffill()
        first = int(after_first.isna().sum())
        if missing > first:
            warnings.append(
                f"Filled {counted(missing - first, 'missing value')} in {name!r} with the last value before each."
            )
        if first:
            warnings.append(
                f"Filled {counted(first, 'missing value')} at the start of {name!r} with the first value after."
            )
        column = after_first.groupby(groups).bfill().to_numpy()
        if np.isnan(column).any():
            raise DataError(f"A series has no numbers in {name!r}; leave out its rows or that column.")
    return column
