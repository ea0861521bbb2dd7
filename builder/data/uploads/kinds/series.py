"""Measurements over time: what comes next is told from a window of what came before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from builder.data.limits import MAX_CELLS
from builder.data.raw import Raw
from builder.data.raw import Series as RawSeries
from builder.data.schema import DataError
from builder.data.uploads.base import Answers, Question
from builder.data.uploads.source import Source
from builder.data.uploads.tabular import Tabular, numeric, odd_number

if TYPE_CHECKING:
    import pandas as pd

UNITS = (
    (365.25 * 86_400, "year"),
    (86_400 * 7, "week"),
    (86_400, "day"),
    (3_600, "hour"),
    (60, "minute"),
    (1, "second"),
)
MOST_CHANNELS = 64


class Series(Tabular):
    """A column of times and columns of numbers."""

    name = "series"
    title = "Series over time"
    about = "A column of times and one or several of numbers: the next values are told from a window of those before."
    kind = "series"
    target_question = "target"
    asked = (
        Question("time", "Time column", "choice", "Orders the rows", optional=True, empty="rows are in order"),
        Question("target", "Column to predict", "choice", "What is to be forecast"),
        Question("values", "Columns seen", "several", "What the window holds, the column to forecast among them"),
        Question("window", "Look back", "whole", "How many steps are seen", low=2, high=2_048, default=24),
        Question("horizon", "Look ahead", "whole", "How many steps are forecast", low=1, high=512, default=1),
    )

    def suits(self, table: pd.DataFrame) -> float:
        import pandas as pd

        times = [str(name) for name, values in table.items() if pd.api.types.is_datetime64_any_dtype(values)]
        numbers = numeric(table)
        if len(times) != 1 or not numbers or len(numbers) + 1 < table.shape[1] or len(table) < 40:
            return 0.0
        if any(table[name].nunique() <= 5 for name in numbers[-1:]):
            return 0.0
        values = table[times[0]].dropna()
        if values.nunique() < 0.98 * len(table):
            return 0.2  # several rows of one time may be of several things, and are rather a table
        return 0.7

    def guesses(self, table: pd.DataFrame, answers: Answers) -> dict[str, Any]:
        import pandas as pd

        times = [str(name) for name, values in table.items() if pd.api.types.is_datetime64_any_dtype(values)]
        time = answers["time"] if "time" in answers else next(iter(times), None)
        numbers = [name for name in numeric(table) if name != time] or [str(table.columns[-1])]
        target = answers.get("target") or numbers[-1]
        return {
            "time": time,
            "target": target,
            "values": numbers[:MOST_CHANNELS],
            "window": max(2, min(24, len(table) // 12)),
        }

    def learned(self, source: Source, answers: Answers) -> str:
        horizon, window = answers.get("horizon"), answers.get("window")
        ahead = "value" if horizon == 1 else f"{horizon} values"
        return f"To forecast the next {ahead} of {answers.get('target')!r} from the {window} steps before."

    def said(self, answers: Answers) -> str:
        return f"forecasts {answers['target']}"

    def from_table(self, table: pd.DataFrame, options: dict[str, Any], title: str) -> Raw:
        chosen = self.checked(table, options, title)
        names = chosen["values"] if isinstance(chosen["values"], (list, tuple)) else [chosen["values"]]
        target, window, horizon = chosen["target"], chosen["window"], chosen["horizon"]
        _refuse(table, [*names, target], chosen["time"])
        warnings: list[str] = []
        table = _ordered(table, chosen["time"], warnings)
        channels = list(dict.fromkeys([target, *names] if target not in names else names))
        values = np.column_stack([_filled(table[name], name, warnings) for name in channels])
        wanted = _filled(table[target], target, [])
        count = len(values) - window - horizon + 1
        if count < 1:
            raise DataError(
                f"{len(values):,} rows are too few for {window} steps back and {horizon} ahead; choose a shorter "
                "window."
            )
        if count * window * len(channels) > MAX_CELLS:
            raise DataError(
                f"{count:,} windows of {window} steps and {len(channels)} columns are too many numbers; choose a "
                "shorter window or fewer columns."
            )
        view = np.lib.stride_tricks.sliding_window_view
        windows = view(values[: len(values) - horizon], window, axis=0).transpose(0, 2, 1)
        return RawSeries(
            name="series",
            target=np.ascontiguousarray(view(wanted[window:], horizon)),
            target_kind="number",
            target_name=target if horizon == 1 else f"{target}, {horizon} steps",
            windows=windows,
            channels=tuple(channels),
            contiguous=True,
            gap=window + horizon - 1,  # windows of two parts of the split share no value
            warnings=warnings,
        )


def _refuse(table: pd.DataFrame, names: list[str], time: str | None) -> None:
    numbers = numeric(table)
    for name in names:
        if name not in numbers:
            raise DataError(
                odd_number(table[name])
                or f"The column {name!r} holds no numbers, so it is no series; choose columns of numbers."
            )
        if name == time:
            raise DataError(f"{name!r} is the time; choose other columns to see and to forecast.")
    if len(set(names)) > MOST_CHANNELS:
        raise DataError(f"A window holds at most {MOST_CHANNELS} columns; {len(set(names))} were chosen.")


def _ordered(table: pd.DataFrame, time: str | None, warnings: list[str]) -> pd.DataFrame:
    """The rows in the order of their times, and in words what is odd about these."""
    import pandas as pd

    if time is None:
        return table
    times = table[time]
    if not (pd.api.types.is_datetime64_any_dtype(times) or pd.api.types.is_numeric_dtype(times)):
        raise DataError(
            f"The column {time!r} holds no times that can be read, such as {str(times.iloc[0])[:40]!r}; write them as "
            "2024-05-31 or 2024-05-31 14:00, or as numbers."
        )
    known = table[times.notna()]
    if len(known) < len(table):
        warnings.append(f"{len(table) - len(known):,} rows without a time in {time!r} were left out.")
    if not known[time].is_monotonic_increasing:
        known = known.sort_values(time, kind="stable")
        warnings.append(f"The rows were put in the order of {time!r}.")
    twice = int(known[time].duplicated().sum())
    if twice:
        known = known[~known[time].duplicated(keep="last")]
        warnings.append(f"{twice:,} rows have a time that another has as well; the last of each was kept.")
    _say_irregular(known[time], warnings)
    return known.reset_index(drop=True)


def _say_irregular(times: pd.Series, warnings: list[str]) -> None:
    import pandas as pd

    if len(times) < 3:
        return
    dated = pd.api.types.is_datetime64_any_dtype(times)
    if dated:
        months = times.dt.year * 12 + times.dt.month
        if (
            (months.diff().iloc[1:] == months.diff().iloc[1]).all()
            and times.dt.day.nunique() == 1
            and months.nunique() > 1
        ):
            return  # months are of different lengths and yet regular
        steps = times.diff().iloc[1:].dt.total_seconds().to_numpy()
    else:
        steps = np.diff(times.to_numpy(dtype=np.float64))
    usual = float(np.median(steps))
    odd = int((abs(steps - usual) > 0.01 * abs(usual)).sum())
    if odd:
        place = int(steps.argmax())
        say = _span if dated else "{:g}".format
        warnings.append(
            f"The times are irregular: {odd:,} of {len(steps):,} steps are not the usual one of {say(usual)}; the "
            f"longest, before {times.iloc[place + 1]}, is {say(float(steps[place]))}. Windows take rows as if "
            "they were equally far apart."
        )


def _span(seconds: float) -> str:
    for length, unit in UNITS:
        if seconds >= length:
            count = seconds / length
            return f"{count:.3g} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:.3g} seconds"


def _filled(values: pd.Series, name: str, warnings: list[str]) -> np.ndarray:
    """A column of finite numbers; what is missing is as the last value before it, as none after it may be known."""
    column = values.to_numpy(dtype=np.float64, na_value=np.nan)
    column = np.where(abs(column) > 1e100, np.nan, column)
    missing = int(np.isnan(column).sum())
    if missing == len(column):
        raise DataError(f"The column {name!r} holds no number.")
    if missing:
        import pandas as pd

        warnings.append(f"{missing:,} missing values in {name!r} were filled with the last value before each.")
        column = pd.Series(column).ffill().bfill().to_numpy()
    return column
