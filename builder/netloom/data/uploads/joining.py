"""Tables in several files, such as train.csv and test.csv, as one table that says of which part each row is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from netloom.core.errors import DataError
from netloom.data.splits.given_splits import NAMES, FileParts, file_parts, is_split, part_in, path_of

if TYPE_CHECKING:
    import pandas as pd

PART = "part of the split"  # the column of the part, in a table of several files
MOST_FILES = 200
_NUMBERED = re.compile(r"column \d+")


class Tables(Protocol):
    """What tables are read from."""

    def tables(self) -> list[str]: ...

    def table(self, name: str = "", sheet: str = "") -> tuple[pd.DataFrame, list[str]]: ...


def joined(source: Tables) -> tuple[pd.DataFrame, list[str]]:
    """The tables called train, validation and test as one, with the column `PART`, and what has to be said of them.

    Raises:
        DataError: there are none, one cannot be read, or they do not have the same columns.
    """
    names = source.tables()
    told = tables_in_parts(names)
    if not told.parts:
        raise DataError(
            "None of these files are tables whose names say train and test; bring a single table, or call the tables "
            "after their part of the split, such as train.csv and test.csv."
        )
    found, notes = [], list[str]()
    ordered = sorted(told.parts, key=lambda name: (told.parts[name], name))
    for name in ordered:
        table, said = source.table(name)
        found.append(table)
        notes += said
    one = below_each_other(found, ordered, [told.parts[name] for name in ordered])
    others = [name for name in names[:MOST_FILES] if name not in told.parts and reads(source, name)]
    if others:
        notes.append(
            f"{len(others):,} tables, such as {others[0][:60]!r}, are in no part of the split and were left out."
        )
    return one, notes


def tables_in_parts(names: Sequence[str]) -> FileParts:
    """The part of each of the files that say one; none where these are no split."""
    with suppress(DataError):  # some of the files may be in no part
        every = file_parts(names)
        if every.parts and len(names) <= MOST_FILES:
            return every
    named = {name: _part(name) for name in names}
    told = [name for name, part in named.items() if part is not None]
    if not is_split(named[name] for name in told) or len(told) > MOST_FILES:
        return FileParts()
    return file_parts(told)


def _part(name: str) -> int | None:
    *folders, file = path_of(name)
    stem = file.partition(".")[0] if part_in(file.rpartition(".")[0] or file) is None else file.rpartition(".")[0]
    return next((part for text in (stem, *folders) if (part := part_in(text)) is not None), None)


def below_each_other(tables: Sequence[pd.DataFrame], names: Sequence[str], parts: Sequence[int]) -> pd.DataFrame:
    """Tables of the same columns as one, with the column `PART`.

    Raises:
        DataError: they do not have the same columns.
    """
    import pandas as pd

    first = tables[0]
    for table, name in zip(tables[1:], names[1:], strict=True):
        _refuse_others(first, names[0], table, name)
    kinds = {
        column: all(pd.api.types.is_string_dtype(table[column]) for table in tables)
        or not any(pd.api.types.is_string_dtype(table[column]) for table in tables)
        for column in first.columns
    }
    texts = [column for column, alike in kinds.items() if not alike]  # numbers in one file and texts in another
    made = [
        table[list(first.columns)].astype(dict.fromkeys(texts, "string")).assign(**{PART: NAMES[part]})
        for table, part in zip(tables, parts, strict=True)
    ]
    return pd.concat(made, ignore_index=True)


def _refuse_others(first: pd.DataFrame, name: str, table: pd.DataFrame, other: str) -> None:
    mine, theirs = list(map(str, first.columns)), list(map(str, table.columns))
    if set(mine) == set(theirs):
        return
    headless = [all(map(_NUMBERED.fullmatch, columns)) for columns in (mine, theirs)]
    if len(mine) == len(theirs) and not set(mine) & set(theirs) and headless[0] == headless[1]:
        raise DataError(
            f"The first line of {other[:80]!r} names the columns {', '.join(repr(one[:40]) for one in theirs[:6])}, "
            f"but that of {name[:80]!r} names {', '.join(repr(one[:40]) for one in mine[:6])}; write the same first "
            "line into both files, as one of them may have none."
        )
    if headless[0] != headless[1]:
        without, having = (name, other) if headless[0] else (other, name)
        named = theirs if headless[0] else mine
        raise DataError(
            f"{without[:80]!r} has no line with column names, and {having[:80]!r} has "
            f"({', '.join(map(repr, named[:6]))}), so their columns cannot be matched; write the same first line into "
            "both files."
        )
    missing = [column for column in mine if column not in theirs]
    extra = [column for column in theirs if column not in mine]
    lacking, having, columns = (other, name, missing) if missing else (name, other, extra)
    listed = ", ".join(repr(column[:40]) for column in columns[:6])
    raise DataError(
        f"{lacking[:80]!r} lacks the columns {listed} of {having[:80]!r}; the parts of a split have the same columns, "
        "what is to be predicted among them. Add these columns, or bring only the file that has them all, which is "
        "split then."
    )


def reads(source: Tables, name: str) -> bool:
    """Whether a file is a table."""
    try:
        source.table(name)
    except DataError:
        return False
    return True
