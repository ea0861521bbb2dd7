"""A table that names files: which of the files that were brought is such a table, and which file each row means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from builder.data.schema import DataError
from builder.data.uploads.members import parts_of
from builder.data.uploads.source import Source

if TYPE_CHECKING:
    import pandas as pd

MOST_TABLES = 20
_SAMPLE = 200


def naming_tables(source: Source, files: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The tables among the files, each with its columns that name files, the one with the most of them first."""
    known = places(files)
    found = []
    for name in [name for name in source.tables() if name not in set(files)][:MOST_TABLES]:
        try:
            table, _ = source.table(name)
        except DataError:
            continue
        columns = [str(column) for column, values in table.items() if _names_files(values, known)]
        if columns:
            found.append((name, columns))
    return sorted(found, key=lambda item: -len(item[1]))


def places(files: Sequence[str]) -> dict[str, str]:
    """The file that is meant by its path, by the end of it, by its name, or by its name without its ending. What may
    mean several means none."""
    found: dict[str, str | None] = {}
    for file in files:
        parts = parts_of(file)
        stem = PurePosixPath(parts[-1]).stem
        for start in range(len(parts)):
            for key in ("/".join(parts[start:]), "/".join((*parts[start:-1], stem))):
                found[key] = file if found.get(key, file) == file else None
    return {key: file for key, file in found.items() if file is not None}


def meant(values: pd.Series, known: dict[str, str]) -> list[str | None]:
    """The file that each cell names, or None."""
    return [known.get("/".join(parts_of(str(value).strip())).removeprefix("./")) for value in values]


def _names_files(values: pd.Series, known: dict[str, str]) -> bool:
    sample = values.dropna().head(_SAMPLE)
    if sample.empty:
        return False
    found = meant(sample, known)
    return sum(file is not None for file in found) >= len(found) / 2 and len(set(found)) > 1


def rows_of(table: pd.DataFrame, columns: Sequence[str], files: Sequence[str], warnings: list[str]) -> pd.DataFrame:
    """The rows whose files are there, with the files' own names in these columns.

    Raises:
        DataError: there is none.
    """
    known = places(files)
    table = table.copy()
    missing: list[str] = []
    for column in columns:
        found = meant(table[column], known)
        missing += [str(value) for value, file in zip(table[column], found, strict=True) if file is None]
        table[column] = found
    left = table[table[list(columns)].notna().all(axis=1)]
    if not len(left):
        raise DataError(
            f"No row of the table names a file that is there; {columns[0]!r} holds {missing[0][:80]!r}, say, and the "
            f"files are called {files[0][:80]!r}."
        )
    if missing:
        warnings.append(
            f"{len(table) - len(left):,} rows name files that are not there, such as {missing[0][:80]!r}, and were "
            "left out."
        )
    return left.reset_index(drop=True)


def label_columns(table: pd.DataFrame, naming: Sequence[str]) -> list[str]:
    """The columns that may say what is to be learned."""
    return [str(name) for name in table.columns if str(name) not in naming]
