"""Tables in several files, such as train.csv and test.csv, as one table with a column for the part of the split."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.data.splits.given_splits import NAMES, FileParts, file_parts, is_split, part_in, path_of
from netloom.data.tables.code_columns import WIDTHS, padded_texts
from netloom.data.tables.target_guess import are_numbered

if TYPE_CHECKING:
    import pandas as pd

PART = "part of the split"  # the name of the added column
MAX_FILES = 200


class Tables(Protocol):
    """A source of tables."""

    names: tuple[str, ...]

    def tables(self) -> list[str]: ...

    def table(self, name: str = "", sheet: str = "") -> tuple[pd.DataFrame, list[str]]: ...


def joined(source: Tables, of: Sequence[str] = ()) -> tuple[pd.DataFrame, list[str]]:
    """Return the tables named train, validation and test, concatenated with the column `PART`, and notes.

    Args:
        of: The files of one of several data sets; by default all files.

    Raises:
        DataError: There are none, one cannot be read, or their columns differ.
    """
    names = source.tables()
    in_parts = tables_in_parts(names)
    if not in_parts.parts:
        raise DataError(
            "None of these files are tables named train and test; upload a single table, or name the tables after "
            "their part of the split, such as train.csv and test.csv."
        )
    tables, notes = [], list[str]()
    ordered = sorted(of or in_parts.parts, key=lambda name: (in_parts.parts[name], name))
    for name in ordered:
        table, table_notes = source.table(name)
        tables.append(table)
        notes += table_notes
    joined_table = concatenated(tables, ordered, [in_parts.parts[name] for name in ordered])
    unused = [] if of else [name for name in names[:MAX_FILES] if name not in ordered and reads(source, name)]
    if unused:
        notes.append(f"Left out {counted(len(unused), 'table')} beside those of the split, such as {unused[0][:60]!r}.")
    return joined_table, notes


def tables_in_parts(names: Sequence[str]) -> FileParts:
    """Return the part of each file that is named after one; none if these are not a split."""
    if len(names) > 10 * MAX_FILES:  # texts rather than tables
        return FileParts()
    with suppress(DataError):  # some of the files may be in no part
        all_parts = file_parts(names)
        if all_parts.parts and len(names) <= MAX_FILES:
            return all_parts
    part_of = {name: _part(name) for name in names}
    in_parts = [name for name, part in part_of.items() if part is not None]
    if not is_split(part_of[name] for name in in_parts) or len(in_parts) > MAX_FILES:
        return FileParts()
    return file_parts(in_parts)


def _part(name: str) -> int | None:
    *folders, file = path_of(name)
    stem = file.partition(".")[0] if part_in(file.rpartition(".")[0] or file) is None else file.rpartition(".")[0]
    return next((part for text in (stem, *folders) if (part := part_in(text)) is not None), None)


def concatenated(tables: Sequence[pd.DataFrame], names: Sequence[str], parts: Sequence[int]) -> pd.DataFrame:
    """Concatenate tables of the same columns, and add the column `PART`.

    Raises:
        DataError: Their columns differ.
    """
    import pandas as pd

    for table, name in zip(tables[1:], names[1:], strict=True):
        refuse_other_columns(tables[0], names[0], table, name)
    converted = [table.assign(**{PART: NAMES[part]}) for table, part in zip(as_one_type(tables), parts, strict=True)]
    return pd.concat(converted, ignore_index=True)


def as_one_type(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return tables of the same columns with those in the same order, and with texts where only some have texts."""
    import pandas as pd

    first = tables[0]
    is_uniform = {
        column: all(pd.api.types.is_string_dtype(table[column]) for table in tables)
        or not any(pd.api.types.is_string_dtype(table[column]) for table in tables)
        for column in first.columns
    }
    texts = [column for column, alike in is_uniform.items() if not alike]  # numbers in one file and texts in another
    # Files may pad other columns, as one without a month below 10 does; pandas drops `attrs` that differ
    widths = {name: width for table in tables for name, width in table.attrs.get(WIDTHS, {}).items()}
    converted = [
        table[list(first.columns)]
        .assign(**{name: padded_texts(table[name]) for name in texts})
        .astype(dict.fromkeys(texts, "string"))
        for table in tables
    ]
    for table in converted:
        table.attrs = {**table.attrs, **({WIDTHS: widths} if widths else {})}
    return converted


def refuse_other_columns(first: pd.DataFrame, name: str, table: pd.DataFrame, other_name: str) -> None:
    """Refuse parts of a split with different columns.

    Raises:
        DataError: The columns differ.
    """
    first_columns, other_columns = list(map(str, first.columns)), list(map(str, table.columns))
    if set(first_columns) == set(other_columns):
        return
    is_numbered = [are_numbered(columns) for columns in (first_columns, other_columns)]
    if (
        len(first_columns) == len(other_columns)
        and not set(first_columns) & set(other_columns)
        and is_numbered[0] == is_numbered[1]
    ):
        raise DataError(
            f"The first line of {other_name[:80]!r} has the column names {_listed(other_columns)}, but that of "
            f"{name[:80]!r} has {_listed(first_columns)}; write the same first line into both files, as one of them "
            "may have no header."
        )
    if is_numbered[0] != is_numbered[1]:
        without, having = (name, other_name) if is_numbered[0] else (other_name, name)
        named = other_columns if is_numbered[0] else first_columns
        raise DataError(
            f"{without[:80]!r} has no line of column names, but {having[:80]!r} has one "
            f"({', '.join(map(repr, named[:6]))}), so that their columns cannot be matched; write the same first line "
            "into both files."
        )
    missing = [column for column in first_columns if column not in other_columns]
    extra = [column for column in other_columns if column not in first_columns]
    lacking, having, columns = (other_name, name, missing) if missing else (name, other_name, extra)
    listed = ", ".join(repr(column[:40]) for column in columns[:6])
    raise DataError(
        f"{lacking[:80]!r} lacks the columns {listed} of {having[:80]!r}; the parts of a split need the same columns, "
        "including the target. Add these columns, or upload only the file that has them all, which is then split."
    )


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(repr(column[:40]) for column in columns[:6])


def reads(source: Tables, name: str) -> bool:
    """Return whether a file is a table."""
    try:
        source.table(name)
    except DataError:
        return False
    return True
