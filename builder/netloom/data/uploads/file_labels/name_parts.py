"""The parts of the names of files, such as 03-01-06.wav or 25_0_2_20170116.jpg, which can be classes or numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from netloom.data.splits.given_splits import is_split, part_of, path_of
from netloom.data.uploads.file_labels.file_lists import FILE
from netloom.data.uploads.file_labels.filetables import NamingTable
from netloom.modalities.columns.text import FEW_VALUES

FEWEST_PARTS = 3
FEWEST_OF_CLASS = 4  # files of a class, on average, of at least one part of the names
MARKS = re.compile(r"[_\-. ]+")
_WHOLE = re.compile(r"[0-9]{1,15}")
_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])[0-3]\d\d{0,9}")  # 20170116, also with a time
_DATE_IN_PARTS = (re.compile(r"(19|20)\d\d"), re.compile(r"0?[1-9]|1[0-2]"), re.compile(r"[0-3]?\d"))


def name_parts(name: str) -> list[str]:
    """Return the parts of the name of a file, between - _ . and blanks."""
    return [part[:100] for part in MARKS.split(PurePosixPath(name).stem) if part]


def possible_parts(names: Sequence[str]) -> list[int]:
    """Return the places of the parts of all names that can be classes, from 1; [] for names such as test_1.wav, whose
    parts are a word and a number."""
    if any(len(name_parts(name)) < FEWEST_PARTS for name in names[:1]):
        return []
    columns = list(zip(*map(name_parts, names), strict=False))  # as many as the shortest name has parts
    if len(columns) < FEWEST_PARTS:
        return []
    times = _times(columns)
    return [part for part, column in enumerate(columns, 1) if part - 1 not in times and are_classes(column)]


def ends_in_date(name: str) -> bool:
    """Return whether the last part of a name is a date, as in IMG_20240105."""
    return _DATE.fullmatch(MARKS.split(name)[-1]) is not None


def are_classes(labels: Sequence[str]) -> bool:
    """Return whether labels of files can be classes: none is empty, and there are few, which are not split parts."""
    classes = {*labels}
    return "" not in classes and 1 < len(classes) <= max(2, len(labels) // 2) and not is_split(map(part_of, classes))


def _times(columns: Sequence[Sequence[str]]) -> set[int]:
    """Return the places, from 0, of the parts that say when a file was made: a date, and the numbers after it."""
    for place, column in enumerate(columns):
        dated = columns[place : place + len(_DATE_IN_PARTS)]
        is_in_parts = len(dated) == len(_DATE_IN_PARTS) and all(
            all(map(pattern.fullmatch, parts)) for pattern, parts in zip(_DATE_IN_PARTS, dated, strict=True)
        )
        if is_in_parts or all(map(_DATE.fullmatch, column)):
            numbers = [after for after in range(place, len(columns)) if all(map(str.isdecimal, columns[after]))]
            return {*numbers}
    return set()


def _are_numbers(cells: Sequence[str]) -> bool:
    """Return whether all parts are whole numbers; a few with leading zeros, such as 01 and 02, are names of classes."""
    are_padded = any(cell.startswith("0") and len(cell) > 1 for cell in cells)
    return all(map(_WHOLE.fullmatch, cells)) and (not are_padded or len({*cells}) > FEW_VALUES)


def table_of_names(files: Sequence[str]) -> NamingTable | None:
    """Return a table with a column for each part of the names of files that can be their class or number; None if there
    is none with several files of a class."""
    import pandas as pd

    parts_of_names = [name_parts(name) for name in files]
    columns = {part: [parts[part - 1] for parts in parts_of_names] for part in possible_parts(files)}
    if not any(FEWEST_OF_CLASS * len({*cells}) <= len(cells) for cells in columns.values()):
        return None
    cells_by_column = {f"part {part}": cells for part, cells in columns.items()}
    table = pd.DataFrame({FILE: files, **cells_by_column}, dtype="string")
    table = table.astype({name: "int64" for name, cells in cells_by_column.items() if _are_numbers(cells)})
    named = ", ".join(f"{cells[0]!r} as {column}" for column, cells in cells_by_column.items())
    note = f"The parts of the names are read as columns, such as {named} of {path_of(files[0])[-1][-60:]!r}."
    return NamingTable("", table, [FILE], None, [note])
