"""Measurements over time: what comes next is told from a window of what came before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.limits import MAX_CELLS
from netloom.data.raw_dataset import RawDataset
from netloom.data.raw_dataset import Series as RawSeries
from netloom.data.splits.given_splits import NO_PART
from netloom.data.uploads.source import Source
from netloom.data.uploads.tabular import Tabular, no_number, numeric
from netloom.data.uploads.upload_kind import Answers, Question

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
FLAGS = 5  # so few different numbers rather mark something
FEWEST, REGULAR = 20, 0.9  # rows of each of several series, and how many of their steps in time are the usual one


class Series(Tabular):
    """A column of times and columns of numbers."""

    name = "series"
    title = "Series over time"
    about = "A column of times and one or several of numbers: the next values are told from a window of those before."
    kind = "series"
    target_question = "target"
    asked = (
        Question("time", "Time column", "choice", "Orders the rows", optional=True, empty="rows are in order"),
        Question(
            "series",
            "Series ID",
            "choice",
            "Column that identifies the series of a row, such as the shop, if the table holds several series",
            optional=True,
            empty="one series",
        ),
        Question("target", "Column to predict", "choice", "The value to forecast"),
        Question("values", "Input features", "several", "Columns in the window, including the column to forecast"),
        Question(
            "window", "Window", "whole", "Number of past steps that the model sees", low=2, high=2_048, default=24
        ),
        Question("horizon", "Horizon", "whole", "Number of future steps to forecast", low=1, high=512, default=1),
    )

    def suits(self, table: pd.DataFrame) -> float:
        times, numbers = _dated(table), numeric(table)
        if len(times) != 1 or not numbers or len(table) < 2 * FEWEST:
            return 0.0
        if _several(table, times[0]):
            return 0.7
        if len(numbers) + 1 < table.shape[1] or any(table[name].nunique() <= FLAGS for name in numbers[-1:]):
            return 0.0
        return 0.2 if _twice(table, times[0]) else 0.7  # rows of one time are of several things, and rather a table

    def guesses(self, table: pd.DataFrame, answers: Answers) -> dict[str, Any]:
        time = answers["time"] if "time" in answers else next(iter(_dated(table)), None)
        several = answers["series"] if "series" in answers else _several(table, time)
        names = [name for name in numeric(table) if name not in (time, several)]
        numbers = names or [str(table.columns[-1])]
        varied = [name for name in names if table[name].nunique() > FLAGS]  # what is forecast is rarely a flag
        target = answers.get("target") or (varied or numbers)[-1]
        rows = len(table) // (table[several].nunique() or 1) if several in table.columns else len(table)
        return {
            "time": time,
            "series": several,
            "target": target,
            "values": numbers[:MOST_CHANNELS],
            "window": max(2, min(24, rows // 12)),
        }

    def learned(self, source: Source, answers: Answers) -> str:
        horizon, window = answers.get("horizon"), answers.get("window")
        ahead = "value" if horizon == 1 else f"{horizon} values"
        each = f", in each of the series that {answers['series']!r} names" if answers.get("series") else ""
        return f"Forecast the next {ahead} of {answers.get('target')!r} from the {window} steps before{each}."

    def said(self, answers: Answers) -> str:
        return f"forecasts {answers['target']}"

    def from_table(
        self, table: pd.DataFrame, options: dict[str, Any], title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        chosen = options
        names = chosen["values"] if isinstance(chosen["values"], (list, tuple)) else [chosen["values"]]
        target, window, horizon = chosen["target"], chosen["window"], chosen["horizon"]
        _refuse(table, [*names, target], chosen["time"], chosen["series"])
        warnings: list[str] = []
        table, place = _ordered(table, chosen["time"], chosen["series"], warnings)
        whose = None if chosen["series"] is None else _numbered(table[chosen["series"]])
        channels = list(dict.fromkeys([target, *names] if target not in names else names))
        values = np.column_stack([_filled(table[name], name, whose, warnings) for name in channels])
        wanted = values[:, channels.index(target)]
        starts = _starts(len(values), whose, window + horizon, warnings)
        count = len(starts)
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
        answers = view(wanted[window:], horizon)
        gap = window + horizon - 1  # windows of two parts of the split share no value
        if whose is not None:
            moments = np.arange(len(whose)) - np.searchsorted(whose, whose)  # the number of each row in its series
            if chosen["time"] is not None:
                moments = table[chosen["time"]].to_numpy()
            starts = starts[np.argsort(moments[starts + window], kind="stable")]
            windows, answers, gap = windows[starts], answers[starts], _apart(starts, whose[starts], gap)
        given = None if parts is None else _within(parts[place], starts, window + horizon, warnings)
        return RawSeries(
            name="series",
            target=np.ascontiguousarray(answers),
            target_kind="number",
            target_name=target if horizon == 1 else f"{target}, {horizon} steps",
            windows=windows,
            channels=tuple(channels),
            contiguous=True,
            given=given,
            gap=gap,
            groups=None if whose is None else whose[starts],
            warnings=warnings,
        )


def _dated(table: pd.DataFrame) -> list[str]:
    """The columns of times."""
    import pandas as pd

    return [str(name) for name, values in table.items() if pd.api.types.is_datetime64_any_dtype(values)]


def _twice(table: pd.DataFrame, time: str) -> bool:
    """Whether many rows have a time that others have as well."""
    return bool(table[time].dropna().nunique() < 0.98 * len(table))


def _several(table: pd.DataFrame, time: Any) -> str | None:
    """The column that tells series apart which stand in one table: each time is there once for each of its values, at
    most, and within each of them the times go on evenly."""
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
        known = table[[name, time]].dropna().sort_values([name, time])
        steps = known.groupby(name, observed=True)[time].diff().dropna()
        usual = steps.groupby(known[name], observed=True).transform("median")
        if len(steps) and float((abs(steps - usual) <= 0.15 * usual).mean()) >= REGULAR:
            return name
    return None


def untold(table: pd.DataFrame) -> str:
    """Of rows that look like several series which nothing tells apart, that in a sentence; "" for other tables."""
    times = _dated(table)
    if len(times) != 1 or not numeric(table) or not _twice(table, times[0]) or _several(table, times[0]):
        return ""
    counts = table[times[0]].value_counts()
    if len(counts) < FEWEST or counts.iloc[0] < 2 or float((counts == counts.iloc[0]).mean()) < REGULAR:
        return ""
    often = {2: "twice", 3: "three times"}.get(int(counts.iloc[0]), f"{counts.iloc[0]:,} times")
    return (
        f"Each time in {times[0]!r} stands there {often}, and no column tells these rows apart, so they are read as a "
        "table without order; to forecast, add a column that says which series a row belongs to, or keep one row for "
        "each time."
    )


def _numbered(values: pd.Series) -> np.ndarray:
    """The number of the series that each row belongs to; rows of one stand together, in the order of the numbers."""
    import pandas as pd

    return pd.factorize(values)[0].astype(np.int64)


def _starts(rows: int, whose: np.ndarray | None, needed: int, warnings: list[str]) -> np.ndarray:
    """The rows at which windows begin that end, with what is to be forecast, within their series."""
    starts = np.arange(max(0, rows - needed + 1))
    if whose is None:
        return starts
    short = int((np.bincount(whose) < needed).sum())
    if short:
        warnings.append(f"{short:,} series of fewer than {needed:,} rows were left out.")
    whole: np.ndarray = starts[whose[starts] == whose[starts + needed - 1]]
    return whole


def _within(parts: np.ndarray, starts: np.ndarray, span: int, warnings: list[str]) -> np.ndarray:
    """The part of each window with what is to be forecast from it: that of all its rows. A window that reaches over two
    parts is in none, as training would see what is measured on."""
    changes = np.concatenate([[0], np.cumsum(parts[1:] != parts[:-1])])
    whole = changes[starts] == changes[starts + span - 1]
    over = int((~whole).sum())
    if over:
        warnings.append(f"{over:,} windows that reach from one part of the split into another were left out.")
    found: np.ndarray = np.where(whole, parts[starts], NO_PART)
    return found


def _apart(starts: np.ndarray, whose: np.ndarray, reach: int) -> int:
    """How many windows lie between two that share a value, at most: `reach` of each series, with those of all others
    that are of the same times."""
    most = 0
    for number in np.unique(whose):
        places = np.flatnonzero(whose == number)
        last = np.minimum(np.arange(len(places)) + reach, len(places) - 1)
        most = max(most, int((places[last] - places).max()))
    return most


def _refuse(table: pd.DataFrame, names: list[str], time: str | None, several: str | None) -> None:
    numbers = numeric(table)
    if several is not None and several in (time, *names):
        raise DataError(f"{several!r} tells the series apart; choose other columns as time, to see and to forecast.")
    for name in names:
        if name not in numbers:
            raise no_number(
                table[name], f"The column {name!r} holds no numbers, so it is no series; choose columns of numbers."
            )
        if name == time:
            raise DataError(f"{name!r} is the time; choose other columns to see and to forecast.")
    if len(set(names)) > MOST_CHANNELS:
        raise DataError(f"A window holds at most {MOST_CHANNELS} columns; {len(set(names))} were chosen.")


def _ordered(
    table: pd.DataFrame, time: str | None, several: str | None, warnings: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows in the order of their times, of each series by itself, with their numbers in the table (R,); in words
    what is odd about them."""
    import pandas as pd

    if time is not None and not (
        pd.api.types.is_datetime64_any_dtype(table[time]) or pd.api.types.is_numeric_dtype(table[time])
    ):
        raise DataError(
            f"The column {time!r} holds no times that can be read, such as {str(table[time].iloc[0])[:40]!r}; write "
            "them as 2024-05-31 or 2024-05-31 14:00, or as numbers."
        )
    known = table
    for name, what in ((time, "a time"), (several, "a name")):
        if name is not None and (missing := int(known[name].isna().sum())):
            warnings.append(f"{missing:,} rows without {what} in {name!r} were left out.")
            known = known[known[name].notna()]
    if several is not None:
        known = known.sort_values([several, *([time] if time is not None else [])], kind="stable")
    elif time is not None and not known[time].is_monotonic_increasing:
        known = known.sort_values(time, kind="stable")
        warnings.append(f"The rows were put in the order of {time!r}.")
    if time is None:
        return known.reset_index(drop=True), known.index.to_numpy()
    again = known.duplicated([time] if several is None else [several, time], keep="last")
    if again.any():
        known = known[~again]
        of = "" if several is None else f" of the same {several!r}"
        warnings.append(
            f"{int(again.sum()):,} rows have a time that another{of} has as well; the last of each was kept."
        )
    if several is None:
        _say_irregular(known[time], warnings)
    else:
        _say_irregular_of(known, time, several, warnings)
    return known.reset_index(drop=True), known.index.to_numpy()


def _say_irregular_of(known: pd.DataFrame, time: str, several: str, warnings: list[str]) -> None:
    """What is odd about the times of several series: of the first one where something is, and of how many more."""
    found: list[tuple[str, str]] = []
    for name, rows in known.groupby(several, observed=True):
        said: list[str] = []
        _say_irregular(rows[time].reset_index(drop=True), said)
        found += [(str(name), one) for one in said]
    if found:
        more = f" So are those of {len(found) - 1:,} more series." if len(found) > 1 else ""
        warnings.append(f"In the series {found[0][0][:60]!r}: {found[0][1]}{more}")


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
        when = times.iloc[place + 1]
        before = f"{when:%Y-%m-%d}{f' {when:%H:%M:%S}' * (when != when.normalize())}" if dated else f"{when:g}"
        warnings.append(
            f"The times are irregular: {odd:,} of {len(steps):,} steps are not the usual one of {say(usual)}; the "
            f"longest, before {before}, is {say(float(steps[place]))}. Windows take rows as if "
            "they were equally far apart."
        )


def _span(seconds: float) -> str:
    for length, unit in UNITS:
        if seconds >= length:
            count = seconds / length
            return f"{count:.3g} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:.3g} seconds"


def _filled(values: pd.Series, name: str, whose: np.ndarray | None, warnings: list[str]) -> np.ndarray:
    """A column of finite numbers; what is missing is as the last value before it, as none after it may be known."""
    column = values.to_numpy(dtype=np.float64, na_value=np.nan)
    column = np.where(abs(column) > 1e100, np.nan, column)
    missing = int(np.isnan(column).sum())
    if missing == len(column):
        raise DataError(f"The column {name!r} holds no number.")
    if missing:
        import pandas as pd

        warnings.append(f"{missing:,} missing values in {name!r} were filled with the last value before each.")
        parts = pd.Series(column).groupby(np.zeros(len(column)) if whose is None else whose)
        column = parts.transform(lambda one: one.ffill().bfill()).to_numpy()
        if np.isnan(column).any():
            raise DataError(f"A series holds no number in {name!r}; leave its rows or that column out.")
    return column
