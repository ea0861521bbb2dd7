"""Recognizes tables whose rows are in the order of time, although no single column of dates says so."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 20  # rows, as fewer are often in some order by chance
_NAMES = {
    part: re.compile(rf"(?i:{names})")
    for part, names in (
        ("year", "years?|yyyy|yr|jahr|année|año"),
        ("month", "months?|mm|mon|mo|mnth|monat|mois|mes"),
        ("day", "days?|dd|tag|jour|día"),
        ("hour", "hours?|hh|hr|stunde|heure|hora"),
        ("minute", "min(ute)?s?"),
        ("stamp", r".*(time|timestamp|date|datetime|epoch|unix|zeit|datum).*|ts|t"),
    )
}
_YEARS = (1_500, 2_200)
# Seconds, milliseconds, microseconds and nanoseconds since 1970 of the years 1980 to 2100
_EPOCHS = tuple((3.1e8 * factor, 4.1e9 * factor) for factor in (1, 1e3, 1e6, 1e9))
_CLOCK = re.compile(r"(?i)\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[ap]m)?")


def time_order_note(table: pd.DataFrame) -> str:
    """Return a note on a table that is in the order of time, with how to say so; "" for others."""
    names = _columns_in_order(table)
    if not names:
        return ""
    listed = " and ".join(repr(name[:60]) for name in names)
    is_number = len(names) == 1 and _is_number(table[names[0]])
    by_role = f"set the role of {names[0][:60]!r} to time, or " if is_number else ""
    return (
        f"The rows seem to be in the order of time, by {listed}. A random split tests on times between those of "
        f"training. To split by time, {by_role}write each time into one column, as 2024-01-31 or 2024-01-31 13:00, and "
        "add the file again. To forecast, add it as a series (--kind series)."
    )


def _columns_in_order(table: pd.DataFrame) -> list[str]:
    """Return the columns that together rise from row to row."""
    if len(table) < FEWEST:
        return []
    dates = [str(name) for name, values in table.items() if values.dtype.kind == "M"]
    if dates:
        # Dates alone are recognized as such; dates with the time of day in another column are not
        clocks = [str(name) for name in table.columns if _is_clock(table[name])]
        return [dates[0], clocks[0]] if len(dates) == 1 and clocks and _rises(table[dates]) else []
    parts = [name for part in ("year", "month", "day", "hour", "minute") if (name := _named(table, part))]
    if parts and parts[0] == _named(table, "year") and _within(table[parts[0]], _YEARS) and _rises(table[parts]):
        return parts
    return next(([str(name)] for name in table.columns if _is_stamp(table, str(name))), [])


def _is_stamp(table: pd.DataFrame, name: str) -> bool:
    """Return whether a column of times since 1970 rises from row to row."""
    values = table[name]
    is_epoch = _is_number(values) and any(_within(values, limits) for limits in _EPOCHS)
    return is_epoch and _NAMES["stamp"].fullmatch(name) is not None and _rises(table[[name]])


def _named(table: pd.DataFrame, part: str) -> str | None:
    """Return the column of whole numbers with the name of a part of a date."""
    return next(
        (str(name) for name in table.columns if _NAMES[part].fullmatch(str(name)) and _is_number(table[name])), None
    )


def _rises(table: pd.DataFrame) -> bool:
    """Return whether the rows of a table, compared from left to right, never fall, and have several values."""
    if table.isna().any(axis=None):
        return False
    rows = list(table.itertuples(index=False, name=None))
    return all(first <= second for first, second in pairwise(rows)) and rows[0] != rows[-1]


def _within(values: pd.Series, limits: tuple[float, float]) -> bool:
    # In float64, as half precision does not hold the limits
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return bool(((limits[0] <= numbers) & (numbers <= limits[1])).all())


def _is_number(values: pd.Series) -> bool:
    import pandas as pd

    kinds = pd.api.types
    return kinds.is_numeric_dtype(values) and not kinds.is_bool_dtype(values)


def _is_clock(values: pd.Series) -> bool:
    """Return whether a column holds times of day as texts."""
    return all(isinstance(text, str) and _CLOCK.fullmatch(text.strip()) for text in values.dropna().unique()[:1_000])
