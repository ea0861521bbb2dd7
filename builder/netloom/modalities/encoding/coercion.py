"""From the cells of a text file to values: numbers, dates, yes and no, or the names of categories.

Import reads a column of texts by these functions, and so does prediction, each cell to the same bits. It travels with
an exported network.
"""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from netloom.modalities.encoding.cells import NOTHING, iso_moment

# A number far larger than any that is meant; its square must not be infinite.
LARGEST = 1e100
ISO, GROUPED = "iso", "grouped"  # ways in which a column is written
DATE_FORMS = (ISO, "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
ISO_DATE = r"\d{4}-\d{2}(-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?"
_WRITTEN = {
    "%d.%m.%Y": (re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})"), (2, 1, 0)),
    "%d/%m/%Y": (re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})"), (2, 1, 0)),
    "%m/%d/%Y": (re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})"), (2, 0, 1)),
}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NUMBER_WORDS = {"true": 1.0, "false": 0.0, **dict.fromkeys(("inf", "+inf", "infinity", "+infinity"), math.inf),
          **dict.fromkeys(("-inf", "-infinity"), -math.inf)}  # fmt: skip
# Numbers in groups of three digits, and those of which nothing else can be meant, by the decimal mark.
_GROUPED = {
    ".": (re.compile(r"[+-]?\d{1,3}(?:,\d{3})*(?:\.\d+)?"), re.compile(r",\d{3}[,.]")),
    ",": (re.compile(r"[+-]?\d{1,3}(?:\.\d{3})*(?:,\d+)?"), re.compile(r"\.\d{3}[,.]")),
}


def is_nothing(cell: str | None) -> bool:
    """Whether a cell says that a number, a date, or a yes or no is missing."""
    return cell is None or cell.strip().lower() in NOTHING


def number(cell: str, decimal: str = ".", grouped: bool = False) -> float | None:
    """The number in a cell, infinite where it says so; None where there is none. `grouped` allows for groups of three
    digits, with commas between them, or points where the decimal mark is a comma."""
    text = cell.strip()
    if grouped and _GROUPED[decimal][0].fullmatch(text):
        text = text.replace("," if decimal == "." else ".", "")
    if decimal == ",":
        text = text.replace(".", "?").replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else _NUMBER_WORDS.get(text.lower())


def is_grouped(cells: Iterable[str], decimal: str = ".") -> bool:
    """Whether one of a column's cells is a number in groups of three digits, and can be nothing else."""
    pattern, surely = _GROUPED[decimal]
    return any(surely.search(cell) and pattern.fullmatch(cell.strip()) for cell in cells)


def are_grouped(cells: Sequence[str], decimal: str = ".", *, surely: bool = True) -> bool:
    """Whether all of a column's cells are such numbers, or numbers without groups, one of them surely grouped."""
    pattern = _GROUPED[decimal][0]
    return bool(cells) and all(map(pattern.fullmatch, cells)) and (not surely or is_grouped(cells, decimal))


def moment(cell: str, form: str = ISO) -> datetime | None:
    """The date or time in a cell of one of the `DATE_FORMS`, in UTC if it names no zone; None where there is none."""
    text = cell.strip()
    if form == ISO:
        return iso_moment(text)
    pattern, order = _WRITTEN[form]
    match = pattern.fullmatch(text)
    if match is None:
        return None
    year, month, day = (int(match.groups()[place]) for place in order)
    try:
        return datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return None


def date_forms(cells: Sequence[str]) -> list[str]:
    """The forms by which every one of these cells can be read."""
    iso = re.compile(ISO_DATE)
    if cells and iso.fullmatch(cells[0]):
        return [ISO] if all(iso.fullmatch(cell) and moment(cell) for cell in cells) else []
    return [form for form in DATE_FORMS[1:] if cells and all(moment(cell, form) for cell in cells)]
