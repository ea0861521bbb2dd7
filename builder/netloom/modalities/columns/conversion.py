"""Converts the cells of a table column to numbers, booleans, dates, categories or texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.modalities.encoding.cells import EncodeError, boolean
from netloom.modalities.encoding.coercion import (
    ISO,
    ISO_DATE,
    LARGEST,
    WRITTEN_FORMS,
    are_grouped,
    date_forms,
    is_grouped,
    is_nothing,
    moment,
    nearest_form,
    number,
)
from netloom.modalities.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


def numbers(values: pd.Series, name: str, warnings: list[str], decimal: str = ".") -> np.ndarray | None:
    """Return a column as float64 numbers (R,), NaN where one is missing; None if all are infinite or too large.

    `decimal` is the decimal mark of cells that are still texts.

    Raises:
        DataError: it contains dates, or texts without a single number.
    """
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values):
        raise DataError(f"The column {name!r} holds dates, which cannot be read as numbers; read it as dates.")
    if pd.api.types.is_numeric_dtype(values):
        return _finite(values.to_numpy(dtype=np.float64, na_value=np.nan), name, warnings)
    # Each distinct cell is parsed once; `factorize` codes missing cells as -1, the last entry of the arrays below
    codes, texts = pd.factorize(values.astype("string"))
    cells = pd.Index(texts).tolist()
    grouped = is_grouped(cells, decimal)
    meanings = [None if is_nothing(cell) else number(cell, decimal, grouped) for cell in cells]
    parsed = np.array([*(np.nan if meaning is None else meaning for meaning in meanings), np.nan])[codes]
    is_filled = np.array([*(not is_nothing(cell) for cell in cells), False])[codes]
    wrong = int((is_filled & np.isnan(parsed)).sum())
    if wrong == int(is_filled.sum()):
        raise DataError(f"The column {name!r} holds no numbers; read it as a category, or ignore it.")
    if wrong:
        warnings.append(f"Treated {counted(wrong, 'cell')} of {name!r} as missing (not a number).")
    return _finite(parsed, name, warnings)


def yes_and_no(values: pd.Series, name: str) -> np.ndarray:
    """Return a column as 1 for yes and 0 for no (R,), NaN where a value is missing.

    Raises:
        DataError: a cell is neither.
    """
    import pandas as pd

    codes, distinct = pd.factorize(values)
    try:
        meanings = [boolean(value, name) for value in pd.Index(distinct).tolist()]
    except EncodeError as error:
        raise DataError(f"{error} Read it as a category, or ignore it.") from None
    return np.array([*meanings, np.nan])[codes]


def dates(values: pd.Series, name: str, warnings: list[str]) -> pd.Series:
    """Return a column as dates, NaT where one is missing or cannot be read.

    Raises:
        DataError: it contains numbers, or texts without a single date in ISO format.
    """
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values):
        return values
    message = f"The column {name!r} holds no dates such as 2024-05-31; read it as something else, or ignore it."
    if pd.api.types.is_numeric_dtype(values):
        raise DataError(message)
    moments = dated(values.astype("string"), ISO)
    wrong = int((moments.isna() & values.notna()).sum())
    if wrong == int(values.notna().sum()):
        raise DataError(message)
    if wrong:
        warnings.append(f"Treated {counted(wrong, 'cell')} of {name!r} as missing (not a date).")
    return moments


def dated(values: pd.Series, form: str) -> pd.Series:
    """Return a column of texts as UTC dates, NaT for texts that are not dates of this format."""
    import pandas as pd

    codes, texts = pd.factorize(values)
    moments = [moment(text, form) for text in pd.Index(texts).to_numpy(dtype=object).tolist()]
    dated_moments = pd.Series(pd.to_datetime(pd.Series([*moments, None], dtype=object), utc=True)).take(codes)
    return dated_moments.set_axis(values.index)


def date_parts(values: pd.Series, parts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the parts (R,) of dates as numbers, equal to those of `netloom.modalities.encoding.cells.date_part`."""
    accessors = {"weekday": "day_of_week", "yearday": "day_of_year"}
    parts_by_name = {
        part: days(values) if part == "days" else getattr(values.dt, accessors.get(part, part)) for part in parts
    }
    return {name: part.to_numpy(dtype=np.float64, na_value=np.nan) for name, part in parts_by_name.items()}


def days(values: pd.Series) -> pd.Series:
    """Return days since 1970-01-01, with fractions."""
    import pandas as pd

    known = values.dt.floor("us")  # the resolution of `datetime`, which prediction uses
    # In seconds, as nanoseconds do not hold years before 1678
    day_numbers: pd.Series = (known - pd.Timestamp(0, tz=values.dt.tz).as_unit("s")).dt.total_seconds() / 86_400
    return day_numbers


def labels(values: pd.Series, name: str) -> tuple[Labels, bool]:
    """Return a column as categories, and whether these are numbers.

    Raises:
        DataError: it contains dates.
    """
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values):
        raise DataError(f"The column {name!r} holds dates, not categories; read it as dates.")
    numeric = bool(pd.api.types.is_numeric_dtype(values))
    return Labels.of_column(values, numeric=numeric), numeric


def texts(values: pd.Series) -> list[str]:
    """Return a column as texts, empty where one is missing."""
    return ["" if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)]


def stands(values: pd.Series) -> bool:
    """Return whether a column has a numeric dtype, so that no texts must be parsed."""
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(values))


def first_other_cell(values: pd.Series, kinds: Sequence[str] = ("date", "number"), least: float = 0.9) -> str:
    """Return the end of a sentence about the first cell that is not a date or number, if at least the share `least` is.

    Dates whose day and month cannot be told apart do not fit either, nor numbers such as 1,234 whose comma can be a
    decimal mark, and those with groups of another decimal mark than that of the file. Returns "" for other columns.
    """
    known = values.dropna().astype("string")
    first = known.head(100)
    if "date" in kinds and len(date_forms(first.tolist())) > 1:
        return ", as its dates can begin with the day or with the month; write them as 2024-05-31"
    for kind in kinds:
        fits = _FITS[kind]
        if fits(first).sum() < least * len(first):  # parsing all of a long column is slow
            continue
        odd = np.flatnonzero(~fits(known))
        if 0 < len(odd) <= (1 - least) * len(known) + 1e-9:
            row = int(np.flatnonzero(values.notna())[odd[0]]) + 1
            more = f", nor are {len(odd) - 1:,} more" if len(odd) > 1 else ""
            cells = "these cells" if more else "that cell"
            cell = known.iloc[odd[0]][:40]
            return f", as {cell!r} in row {row:,} is not a {kind} like the others{more}; fix or empty {cells}"
    return _ambiguous_groups(first.tolist()) if "number" in kinds else ""


def _ambiguous_groups(texts: Sequence[str]) -> str:
    """Return the end of a sentence about numbers such as 1,234, whose mark can begin a group or the decimals."""
    for decimal, group in (".,", ",."):
        cell = next((text for text in texts if group in text), None)
        if cell is not None and are_grouped(texts, decimal):
            own, other = ("point", "comma") if decimal == "." else ("comma", "point")
            return (
                f", as {cell[:40]!r} is written for a decimal {own}, and the file is read with a decimal {other}; "
                "write all numbers in the same way"
            )
        if cell is not None and are_grouped(texts, decimal, surely=False):
            return f", as {cell[:40]!r} can have a group of digits or three decimals; write numbers without groups"
    return ""


def _are_dates(texts: pd.Series) -> np.ndarray:
    """Return which texts are dates in the format of most of the first ones."""
    import pandas as pd

    is_iso = texts.str.fullmatch(ISO_DATE).to_numpy(dtype=bool)
    if 2 * is_iso[:100].sum() > len(texts.head(100)):
        return is_iso
    form = nearest_form(texts.head(100).tolist(), WRITTEN_FORMS)
    codes, distinct = pd.factorize(texts)
    return np.array([moment(text, form) is not None for text in pd.Index(distinct).tolist()], dtype=bool)[codes]


def _are_numbers(texts: pd.Series) -> np.ndarray:
    import pandas as pd

    return pd.to_numeric(texts, errors="coerce").notna().to_numpy(dtype=bool)


_FITS = {"date": _are_dates, "number": _are_numbers}


def _finite(column: np.ndarray, name: str, warnings: list[str]) -> np.ndarray | None:
    wrong = abs(column) > LARGEST
    if not wrong.any():
        return column
    column = np.where(wrong, np.nan, column)
    if np.isnan(column).all():
        warnings.append(f"The column {name!r} holds no finite number and was left out.")
        return None
    warnings.append(f"Infinite or far too large numbers in {name!r} are taken as missing.")
    return column
