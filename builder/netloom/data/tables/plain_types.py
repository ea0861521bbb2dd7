"""Columns of tables as plain types: numbers, booleans, UTC dates or texts, whichever fits all cells of a column."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data.dialect import BOOLEANS, MISSING_MARKS
from netloom.data.tables.code_columns import NONE_PADDED, WIDTHS, ZeroPadded
from netloom.modalities.columns.conversion import dated
from netloom.modalities.encoding.cells import MARKS
from netloom.modalities.encoding.coercion import (
    ISO,
    ISO_DATE,
    are_grouped,
    common_symbol,
    date_forms,
    grouped_format,
    number,
)

if TYPE_CHECKING:
    import pandas as pd


def unique_names(columns: Any) -> list[str]:
    """Column names as unique texts."""
    names: list[str] = []
    for position, column in enumerate(columns, 1):
        name = str(column).strip()[:200] or f"column {position}"
        while name in names:
            name = f"{name} (2)"
        names.append(name)
    return names


def plain_table(
    table: pd.DataFrame, decimal: str = ".", *, written: bool = False, padded: ZeroPadded = NONE_PADDED
) -> pd.DataFrame:
    """Return the table with columns of numbers, booleans, dates and texts only.

    `attrs["written"]` holds, by column, the format of dates and grouped numbers, so that prediction reads the cells of
    new rows in the same way; `attrs[WIDTHS]` holds the digits of padded numbers.

    Args:
        written: Whether the cells come from a text file, so that blanks around them are dropped.
        padded: The columns with leading zeros.
    """
    import pandas as pd

    names = unique_names(table.columns)
    columns = [table.iloc[:, column_index] for column_index in range(len(names))]
    if written:
        columns = [
            strip_cells(values, decimal, as_texts=name in padded.codes)
            for name, values in zip(names, columns, strict=True)
        ]
    inferred = [
        infer_column(values, decimal, as_texts=name in padded.codes)
        for name, values in zip(names, columns, strict=True)
    ]
    plain = pd.DataFrame(dict(zip(names, inferred, strict=True)))
    forms = {name: form for name, values in zip(names, inferred, strict=True) if (form := values.attrs.get("written"))}
    for name in names:
        plain[name].attrs.clear()
    attributes = {"written": forms, "decimal": decimal if decimal != "." else "", WIDTHS: padded.widths}
    plain.attrs = {name: value for name, value in attributes.items() if value}
    return plain


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a plain table as JSON values: dates as texts in ISO format, and missing cells as None.

    Numbers have all of their digits, of which `DataFrame.to_json` drops those after the 15th decimal.
    """
    columns = [_json_values(table[name]) for name in table.columns]
    return [dict(zip(table.columns, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _json_values(values: pd.Series) -> list[Any]:
    import pandas as pd

    is_known = values.notna()
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.dt.floor("us").map(lambda date: date.isoformat(), na_action="ignore")
    plain: list[Any] = values.astype(object).where(is_known, None).tolist()
    return plain


def strip_cells(values: pd.Series, decimal: str = ".", *, as_texts: bool = False) -> pd.Series:
    """Return a text column with stripped cells, parsed again: blanks hide numbers and missing marks from pandas.

    Args:
        as_texts: Whether the column stays text even if its cells are numbers.
    """
    import pandas as pd

    # Before pandas 3, texts are objects, and those with missing cells do not count as strings.
    if not (pd.api.types.is_string_dtype(values) or pd.api.types.is_object_dtype(values)):
        return values
    cells = distinct_texts(values)
    # In a column with integers beyond 64 bits, pandas reads missing marks as texts too.
    if all(text == text.strip() and text not in MISSING_MARKS for text in cells):
        return values
    texts = {text: text.strip() for text in cells}
    present = {plain for plain in texts.values() if plain not in MISSING_MARKS}
    parsed: dict[str, Any] = {text: plain if plain in present else None for text, plain in texts.items()}
    if not as_texts and all(number(plain, decimal) is not None and plain not in BOOLEANS for plain in present):
        return to_numbers(values, decimal)
    if not as_texts and present <= set(BOOLEANS):
        booleans = [BOOLEANS.get(str(parsed[text])) if isinstance(text, str) else None for text in values]
        return pd.Series(booleans, index=values.index)
    return values.map(parsed.get, na_action="ignore").astype("string")


def distinct_texts(values: pd.Series) -> list[str]:
    """Return the distinct texts in a column."""
    return [text for text in np.asarray(values.dropna().unique(), dtype=object).tolist() if isinstance(text, str)]


def to_numbers(values: pd.Series, decimal: str = ".", *, grouped: bool = False, symbol: str = "") -> pd.Series:
    """Return a text column as float64, NaN where a cell is not a number. Each distinct text is parsed once."""
    import pandas as pd

    codes, texts = pd.factorize(values)
    parsed = [number(text, decimal, grouped, symbol) for text in pd.Index(texts).to_numpy(dtype=object).tolist()]
    numbers = np.array([*(np.nan if number is None else number for number in parsed), np.nan])[codes]
    return pd.Series(numbers, index=values.index)


def infer_column(values: pd.Series, decimal: str = ".", *, as_texts: bool = False) -> pd.Series:
    """Return a column as numbers, booleans, UTC dates or texts, whichever fits all of its cells.

    Args:
        as_texts: Whether numbers with marks of missing values, such as ?, stay texts, as those without do.
    """
    import pandas as pd

    kinds = pd.api.types
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.dtype.categories.dtype)
    if kinds.is_bool_dtype(values):
        return values if not values.isna().any() else values.map(str, na_action="ignore").astype("string")
    if kinds.is_timedelta64_dtype(values):
        return pd.Series(values.dt.total_seconds())
    if kinds.is_datetime64_any_dtype(values):
        return pd.to_datetime(values, utc=True)
    if kinds.is_numeric_dtype(values):
        return values
    present = values.dropna()
    if len(present) and kinds.infer_dtype(present, skipna=True) in ("decimal", "integer", "mixed-integer-float"):
        with suppress(OverflowError):  # integers beyond the range of a float stay texts
            return pd.Series([np.nan if pd.isna(value) else float(value) for value in values], dtype=np.float64)
    texts = to_texts(values)
    inferred = _single_format_dates(_grouped_numbers(texts, decimal))
    if as_texts or not kinds.is_string_dtype(inferred):
        return inferred
    marks = [text for text in distinct_texts(texts) if text.lower() in MARKS]
    if not marks:
        return inferred
    # Beside numbers and dates, these marks are missing values.
    known = texts.mask(texts.isin(marks))
    cells = distinct_texts(known)
    if cells and all(number(cell, decimal) is not None and cell not in BOOLEANS for cell in cells):
        return to_numbers(known, decimal)
    inferred = _single_format_dates(_grouped_numbers(known, decimal))
    return texts if kinds.is_string_dtype(inferred) else inferred


def to_texts(values: pd.Series) -> pd.Series:
    """Return a column as texts; missing cells stay missing."""
    import pandas as pd

    if isinstance(values.dtype, pd.StringDtype):
        return values.astype("string")
    return values.map(_to_text, na_action="ignore").astype("string")


def _to_text(value: Any) -> str:
    if isinstance(value, np.ndarray | list | tuple | dict):  # as in a file of JSON records
        return json.dumps(value, ensure_ascii=False, default=_plain_value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _plain_value(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _grouped_numbers(values: pd.Series, decimal: str) -> pd.Series:
    """Texts with grouped digits such as 1,234 as numbers, if each cell can only be read that way."""
    present = values.dropna()
    if not are_grouped(present.head(100).tolist(), decimal, surely=False):
        return values
    if not are_grouped(distinct_texts(values), decimal):
        return values
    symbol = common_symbol(present.head(1))
    return _with_format(to_numbers(values, decimal, grouped=True, symbol=symbol), grouped_format(symbol))


def _single_format_dates(values: pd.Series) -> pd.Series:
    """Texts as UTC dates, if all are in ISO format, or if exactly one date format reads each cell."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(values):  # `_grouped_numbers` converted it
        return values
    present = values.dropna()
    likely = date_forms(present.head(100).tolist())
    if not likely:
        return values
    texts = distinct_texts(values)
    forms = likely if likely == [ISO] and all(map(re.compile(ISO_DATE).fullmatch, texts)) else date_forms(texts)
    if len(forms) != 1:
        return values
    dates = dated(values, forms[0])
    return values if int(dates.notna().sum()) < len(present) else _with_format(dates, forms[0])


def _with_format(values: pd.Series, form: str) -> pd.Series:
    """Return the column, with its format in `attrs`."""
    values.attrs["written"] = form
    return values
