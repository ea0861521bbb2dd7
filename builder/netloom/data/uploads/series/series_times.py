"""The times of series: their order, and notes on those that are odd."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.data.uploads.tabular import textual
from netloom.modalities.columns.conversion import first_other_cell

if TYPE_CHECKING:
    import pandas as pd

MIN_DISTINCT = 0.98  # the share of distinct values in a column of the times of one series
_FORMS = "2024-05-31 or 2024-05-31 14:00"
_UNITS = (
    (365.25 * 86_400, "year"),
    (86_400 * 7, "week"),
    (86_400, "day"),
    (3_600, "hour"),
    (60, "minute"),
    (1, "second"),
)


def unread_times_note(table: pd.DataFrame) -> str:
    """Return a note on a column that seems to hold times and cannot be read, so that the rows keep their order."""
    order = "The rows are taken in the order of the file."
    for name in textual(table):
        if odd := first_other_cell(table[name], ("date",)):
            return f"The times in {name!r} cannot be read{odd}. {order}"
        if table[name].nunique() >= MIN_DISTINCT * len(table):
            first = str(table[name].iloc[0])[:40]
            return f"The texts in {name!r}, such as {first!r}, are not read as times; write times as {_FORMS}. {order}"
    return ""


def in_order_of_time(
    table: pd.DataFrame, time: str | None, several: str | None, warnings: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows sorted by series and time, and their original numbers (R,); adds warnings about odd times."""
    import pandas as pd

    if time is not None and not (
        pd.api.types.is_datetime64_any_dtype(table[time]) or pd.api.types.is_numeric_dtype(table[time])
    ):
        if odd := first_other_cell(table[time], ("date",)):
            raise DataError(f"The times in {time!r} cannot be put in order{odd}.")
        raise DataError(
            f"The column {time!r} has no readable times, but values such as {str(table[time].iloc[0])[:40]!r}; write "
            f"them as {_FORMS}, or as numbers."
        )
    rows = table
    for name, reason in ((time, "a time"), (several, "a name")):
        if name is not None and (missing := int(rows[name].isna().sum())):
            warnings.append(f"Left out {counted(missing, 'row')} without {reason} in {name!r}.")
            rows = rows[rows[name].notna()]
    if several is not None:
        rows = rows.sort_values([several, *([time] if time is not None else [])], kind="stable")
    elif time is not None and not rows[time].is_monotonic_increasing:
        rows = rows.sort_values(time, kind="stable")
        warnings.append(f"The rows were put in the order of {time!r}.")
    if time is None:
        return rows.reset_index(drop=True), rows.index.to_numpy()
    is_repeated = rows.duplicated([time] if several is None else [several, time], keep="last")
    if is_repeated.any():
        rows = rows[~is_repeated]
        same_series = "" if several is None else f" of the same {several!r}"
        warnings.append(
            f"Left out {counted(int(is_repeated.sum()), 'row')} with the same time as a later row{same_series}."
        )
    if several is None:
        _warn_of_irregular_times(rows[time], warnings)
    else:
        _warn_of_irregular_series(rows, time, several, warnings)
    return rows.reset_index(drop=True), rows.index.to_numpy()


def _warn_of_irregular_series(table: pd.DataFrame, time: str, several: str, warnings: list[str]) -> None:
    """Warn about irregular times: for the first such series, with the number of others."""
    irregular: list[tuple[str, str]] = []
    for name, rows in table.groupby(several, observed=True):
        messages: list[str] = []
        _warn_of_irregular_times(rows[time].reset_index(drop=True), messages)
        irregular += [(str(name), message) for message in messages]
    if irregular:
        more = f" So are those of {len(irregular) - 1:,} more series." if len(irregular) > 1 else ""
        warnings.append(f"In the series {irregular[0][0][:60]!r}: {irregular[0][1]}{more}")


def _warn_of_irregular_times(times: pd.Series, warnings: list[str]) -> None:
    """Warn about irregular times of one series."""
    import pandas as pd

    if len(times) < 3:
        return
    times = _dates_of_digits(times)
    dated = pd.api.types.is_datetime64_any_dtype(times)
    say: Callable[[float], str] = "{:g}".format
    months = times.dt.year * 12 + times.dt.month if dated else times
    if dated and months.is_unique and (times.dt.day.nunique() == 1 or times.dt.is_month_end.all()):
        # Months have different lengths, but are regular
        steps, say = months.diff().iloc[1:].to_numpy(dtype=np.float64), _months
    elif dated:
        steps, say = times.diff().iloc[1:].dt.total_seconds().to_numpy(), _span
    else:
        steps = np.diff(times.to_numpy(dtype=np.float64))
    usual = float(np.median(steps))
    odd = int((abs(steps - usual) > 0.01 * abs(usual)).sum())
    if odd:
        gap = int(steps.argmax())
        when = times.iloc[gap + 1]
        before = f"{when:%Y-%m-%d}{f' {when:%H:%M:%S}' * (when != when.normalize())}" if dated else f"{when:g}"
        warnings.append(
            f"The times are irregular: {odd:,} of {len(steps):,} steps {'differs' if odd == 1 else 'differ'} from "
            f"the usual one of {say(usual)}; the longest, before {before}, is {say(float(steps[gap]))}. Windows take "
            "rows as if they were equally far apart."
        )


def _dates_of_digits(times: pd.Series) -> pd.Series:
    """Return whole numbers such as 20240531 or 202405 as dates, if all of them are; other times unchanged."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(times) or (times % 1 != 0).any():
        return times
    for form, low, high in (("%Y%m%d", 18_000_101, 21_001_231), ("%Y%m", 180_001, 210_012)):
        if times.between(low, high).all():
            dates = pd.to_datetime(times.astype("int64").astype("string"), format=form, errors="coerce")
            return dates if dates.notna().all() else times
    return times


def _months(count: float) -> str:
    return f"{count:g} month{'' if count == 1 else 's'}"


def _span(seconds: float) -> str:
    for length, unit in _UNITS:
        if seconds >= length:
            count = seconds / length
            return f"{count:.3g} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:.3g} seconds"
