"""Columns of whole numbers that are codes, such as postal codes: as numbers, 01 and 1 would be the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from netloom.data.dialect import MISSING_MARKS

# A cell of a CSV file that begins with 0 and another digit
LEADING_ZERO = re.compile(r"""(?:^|[,;|"'\s])0\d""")
_DIGITS = re.compile(r"\d+", re.ASCII)


def are_codes(cells: Iterable[str]) -> bool:
    """Return whether cells are codes: whole numbers, some with leading zeros.

    If all have two digits, they are numbers, such as the months from 01 to 12.
    """
    texts = [text for cell in cells if (text := cell.strip()) not in MISSING_MARKS]
    is_padded = any(len(text) > 1 and text[0] == "0" for text in texts)
    return is_padded and all(map(_DIGITS.fullmatch, texts)) and any(len(text) != 2 for text in texts)


def columns_of_codes(names: Sequence[str], records: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of the columns that are codes in these records."""
    return [
        name
        for index, name in enumerate(names)
        if are_codes(record[index] for record in records if index < len(record))
    ]
