"""A table that names files: which of the files that were brought is such a table, and which file each row means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.splits.given_splits import FileParts, file_parts, given_of, is_split, part_of, path_of, split_column
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.joining import PART, below_each_other, tables_in_parts
from netloom.data.uploads.source import Source

if TYPE_CHECKING:
    import pandas as pd

MOST_TABLES = 20
_SAMPLE = 200


@dataclass(frozen=True)
class NamingTable:
    """A table whose `columns` name files, the likeliest first, without its split column; the table itself has it."""

    name: str
    table: pd.DataFrame
    columns: list[str]
    split: str | None
    notes: list[str]

    def labels(self, *naming: str) -> list[str]:
        """The columns that may say what is to be learned, where these name files."""
        return label_columns(self.table, [*naming, *filter(None, [self.split])])


def naming_table(source: Source, files: Sequence[str]) -> NamingTable | None:
    """The table that names files, the one with the most columns that do. Several of them that are called train and test
    are one table, which says of which part each row is. It is looked for once.

    Raises:
        DataError: the tables of the parts do not have the same columns.
    """
    found: NamingTable | None = source.once(("naming", *files), lambda: _naming_table(source, files))
    return found


def _naming_table(source: Source, files: Sequence[str]) -> NamingTable | None:
    known, taken = places(files), set(files)
    found: list[tuple[str, pd.DataFrame, list[str], list[str]]] = []
    for name in [name for name in source.tables() if name not in taken][:MOST_TABLES]:
        try:
            table, notes = source.table(name)
        except DataError:
            continue
        columns = [str(column) for column, values in table.items() if _names_files(values, known)]
        if columns:
            found.append((name, table, columns, notes))
    if not found:
        return None
    parts = tables_in_parts([name for name, *_ in found]).parts
    if parts:
        of = sorted((item for item in found if item[0] in parts), key=lambda item: (parts[item[0]], item[0]))
        whole = below_each_other([item[1] for item in of], [item[0] for item in of], [parts[item[0]] for item in of])
        columns = [column for column in of[0][2] if all(column in item[2] for item in of)]
        if columns:
            notes = [note for item in of for note in item[3]]
            return NamingTable(of[0][0], whole, columns, PART, notes)
    name, table, columns, notes = max(found, key=lambda item: len(item[2]))
    return NamingTable(name, table, columns, split_column(table), notes)


def stated_parts(source: Source, files: Sequence[str]) -> FileParts:
    """The part of the split that each file is in: as a table or lists beside the files say, else as folders and the
    files' own names do.

    Raises:
        DataError: some files are in a part, and others in none.
    """
    found: FileParts = source.once(("parts", *files), lambda: _stated_parts(source, files))
    return found


def _stated_parts(source: Source, files: Sequence[str]) -> FileParts:
    found = naming_table(source, files)
    if found is not None and found.split is not None:
        parts = given_of(found.table[found.split], found.split)
        named = meant(found.table[found.columns[0]], places(files))
        told = {file: int(part) for file, part in zip(named, parts, strict=True) if file is not None}
        return FileParts(told, _levels(files))
    listed = _listed(source, files)
    return FileParts(listed, _levels(files)) if listed else file_parts(files)


def _levels(files: Sequence[str]) -> Mapping[str, int]:
    """Where paths speak of a part as well, which is no class then."""
    try:
        return file_parts(files).level
    except DataError:
        return {}


def _listed(source: Source, files: Sequence[str]) -> dict[str, int]:
    """The part of each file as lists such as train.txt and test.txt name them, one on a line; nothing without such."""
    taken = set(files)
    if len(taken) == len(source.names):
        return {}
    lists = [name for name in source.members.of(file_types.TEXT) if name not in taken]
    named = {name: part_of(PurePosixPath(path_of(name)[-1]).stem) for name in lists}
    told = {name: part for name, part in named.items() if part is not None}
    if not told or not is_split(told.values()):
        return {}
    known, found = places(files), dict[str, int]()
    for name, part in told.items():
        text, _ = decode_text(source.members.read(name), name)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        meant_here = [known.get("/".join(path_of(line.split()[0])).removeprefix("./")) for line in lines]
        if sum(file is not None for file in meant_here) < len(lines) / 2:
            return {}
        found |= {file: int(part) for file in meant_here if file is not None}
    return found


def places(files: Sequence[str]) -> dict[str, str]:
    """The file that is meant by its path, by the end of it, by its name, or by its name without its ending. What may
    mean several means none."""
    found: dict[str, str | None] = {}
    for file in files:
        parts = path_of(file)
        stem = PurePosixPath(parts[-1]).stem
        for start in range(len(parts)):
            for key in ("/".join(parts[start:]), "/".join((*parts[start:-1], stem))):
                found[key] = file if found.get(key, file) == file else None
    return {key: file for key, file in found.items() if file is not None}


def meant(values: pd.Series, known: dict[str, str]) -> list[str | None]:
    """The file that each cell names, or None."""
    return [known.get("/".join(path_of(str(value).strip())).removeprefix("./")) for value in values]


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
    table = table.reset_index(drop=True).copy()
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
