"""Columns of whole numbers with leading zeros: codes such as postal codes, and numbers such as the months 01 to 12."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from netloom.data.dialect import MISSING_MARKS
from netloom.modalities.encoding.coercion import is_spelled, spelled

if TYPE_CHECKING:
    import pandas as pd

# A cell of a CSV file that begins with 0 and another digit
LEADING_ZERO = re.compile(r"""(?:^|[,;|"'\s])0\d""")
# The key in `attrs` of a table under which it holds the digits of padded numbers, by column
WIDTHS = "widths"
_DIGITS = re.compile(r"\d+", re.ASCII)
_NUMBER_WIDTH = 2


class ZeroPadded(NamedTuple):
    """The columns with leading zeros: `codes`, which stay texts, because 01 and 1 differ as codes; and `widths`, the
    number of digits in all cells of a column of numbers, from which `padded_texts` restores the cells."""

    codes: list[str]
    widths: dict[str, int]


NONE_PADDED = ZeroPadded([], {})


def are_codes(cells: Iterable[str]) -> bool:
    """Return whether cells are codes: whole numbers, some with leading zeros.

    If all have two digits, they are numbers, such as the months from 01 to 12.
    """
    texts = _padded(cells)
    return any(len(text) != _NUMBER_WIDTH for text in texts)


def _padded(cells: Iterable[str]) -> list[str]:
    """Return the cells that are not missing, if they are whole numbers, some with leading zeros; otherwise []."""
    texts = [text for cell in cells if (text := cell.strip()) not in MISSING_MARKS]
    is_padded = any(len(text) > 1 and text[0] == "0" for text in texts)
    return texts if is_padded and all(map(_DIGITS.fullmatch, texts)) else []


def zero_padded(columns: Mapping[str, Iterable[str]]) -> ZeroPadded:
    """Return the columns with leading zeros among columns of cells."""
    padded = {name: texts for name, cells in columns.items() if (texts := _padded(cells))}
    codes = [name for name, texts in padded.items() if are_codes(texts)]
    return ZeroPadded(codes, {name: _NUMBER_WIDTH for name in padded if name not in codes})


def zero_padded_records(names: Sequence[str], records: Sequence[Sequence[str]]) -> ZeroPadded:
    """Return the columns with leading zeros in these records."""
    return zero_padded(
        {name: [record[index] for record in records if index < len(record)] for index, name in enumerate(names)}
    )


def padded_texts(values: pd.Series) -> pd.Series:
    """Return a column of padded numbers as the texts of the file, such as 01, one of dates with names or of periods as
    texts such as 2020Q1, and any other column as it is.

    What names something, such as a class, is read through this function.
    """
    width = values.attrs.get(WIDTHS, {}).get(str(values.name))
    if width is None:
        return _spelled_dates(values)

    def text(number: float) -> str:
        # In a file that is read in chunks, later cells may have other numbers than the first, by which it was inferred
        return f"{number:0{width}.0f}" if float(number).is_integer() else str(number)

    return values.map(text, na_action="ignore").astype("string")


def _spelled_dates(values: pd.Series) -> pd.Series:
    """Return dates in the format of the file; ISO dates, dates of numbers alone and other values as they are."""
    form = values.attrs.get("written", {}).get(str(values.name))
    if not is_spelled(form) or values.dtype.kind != "M":
        return values
    return values.map(lambda date: spelled(date, form), na_action="ignore").astype("string")


def cell_texts(values: pd.Series) -> list[str]:
    """Return a column without missing cells as texts; dates of numbers alone in ISO format, without a time if all are
    at midnight."""
    import pandas as pd

    values = padded_texts(values)
    if pd.api.types.is_datetime64_any_dtype(values):
        is_daily = bool((values == values.dt.normalize()).all())
        return list(values.dt.strftime("%Y-%m-%d" if is_daily else "%Y-%m-%d %H:%M:%S"))
    return [str(value) for value in values]
