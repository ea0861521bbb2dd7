"""Tables that name files of the same upload, such as tables of labels, and the file of each row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.data import file_types
from netloom.data.splits.given_splits import (
    FileParts,
    file_parts,
    given_of,
    is_split,
    part_in,
    part_of,
    path_of,
    split_column,
)
from netloom.data.tables.code_columns import padded_texts
from netloom.data.uploads.file_labels.file_lists import (
    FILE,
    LABELS,
    Numbering,
    class_lists,
    is_partition,
    list_table,
    numbered_parts,
    numbering_of,
)
from netloom.data.uploads.file_labels.one_hot import one_hot
from netloom.data.uploads.file_labels.part_lists import lists_of_parts, parts_of_lists
from netloom.data.uploads.files.joining import PART, concatenated, tables_in_parts
from netloom.data.uploads.files.members import PICTURE_SUFFIXES, composed
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_tuples import pair_table, triplet_table
from netloom.data.uploads.pairing import ROLES

if TYPE_CHECKING:
    import pandas as pd

MAX_TABLES = 20
_SAMPLE = 200
_ABSOLUTE = re.compile(r"/|[A-Za-z]:[/\\]")
FEWEST_NAMES = 0.2  # of the most different files that a column names, in one that names files, too


@dataclass(frozen=True)
class NamingTable:
    """A table whose `columns` name files, the most likely one first.

    Attributes:
        split: The split column, if there is one.
        sets: The columns whose cells are sets of labels.
    """

    name: str
    table: pd.DataFrame
    columns: list[str]
    split: str | None
    notes: list[str]
    sets: tuple[str, ...] = ()

    def labels(self, *naming: str) -> list[str]:
        """Return the columns that may be targets, if these columns name the files."""
        return label_columns(self.table, [*naming, *filter(None, [self.split])])


def naming_table(source: Source, files: Sequence[str]) -> NamingTable | None:
    """Return the table with the most columns that name files; cached. Tables named train and test are concatenated.

    Raises:
        DataError: The tables of the parts have different columns.
    """
    naming: NamingTable | None = source.once(("naming", *files), lambda: _naming_table(source, files))
    return naming


def _naming_table(source: Source, files: Sequence[str]) -> NamingTable | None:
    excluded = set(files)
    if not files:
        return None
    file_of = files_by_path(files)
    if (tuples := _tuples(source, files, file_of)) is not None:
        return tuples
    if len(excluded) == len(source.names):
        return None
    numbered = numbering(source, files).lists
    names = [name for name in source.tables() if name not in excluded and name not in numbered]
    lists = class_lists(source, names, lambda cell: _file_at(file_of, cell))
    if lists is not None:
        return NamingTable(names[0], lists, [FILE], PART if PART in lists else None, [], (LABELS,))
    candidates: list[NamingTable] = []
    for name in names[:MAX_TABLES]:
        listed = list_table(source, name, lambda cell: _file_at(file_of, cell))
        try:
            table, notes = source.table(name) if listed is None else (listed, [])
        except DataError:
            continue
        columns = _naming_columns(table, file_of)
        if columns:
            candidates.append(NamingTable(name, table, columns, split_column(table), notes))
    if not candidates:
        return None
    return _with_one_hot(
        _of_parts(candidates) or _with_partition(max(candidates, key=_usefulness), candidates, file_of)
    )


def _with_one_hot(naming: NamingTable) -> NamingTable:
    """Return a table with the classes in columns of 0 and 1 as a column of its own."""
    labels = naming.labels(*naming.columns)
    joined = one_hot(naming.table, labels) if len(naming.columns) == 1 and labels else None
    if joined is None:
        return naming
    sets = (*naming.sets, joined.name) if joined.are_sets else naming.sets
    return replace(naming, table=joined.table, sets=sets, notes=[*naming.notes, joined.note])


def _tuples(source: Source, files: Sequence[str], file_of: Mapping[str, str]) -> NamingTable | None:
    """Return the pairs or triplets of images that their folders or names make."""
    if source.members.form(files[0]) != file_types.PICTURE:
        return None
    triplets = triplet_table(files)
    if triplets is not None:
        return NamingTable("", triplets.table, list(ROLES), None, triplets.notes)
    excluded = set(files)
    names = [name for name in source.tables() if name not in excluded]
    pairs = pair_table(source, names, files, lambda cell: _file_at(file_of, cell))
    if pairs is None:
        return None
    columns = [str(name) for name in pairs.table.columns[:2]]
    return NamingTable("", pairs.table, columns, split_column(pairs.table), pairs.notes)


def _file_at(file_of: Mapping[str, str], cell: str) -> str | None:
    """Return the file that a cell names by its path, or by the end of it."""
    return file_of.get("/".join(path_of(composed(cell))).removeprefix("./"))


def numbering(source: Source, files: Sequence[str]) -> Numbering:
    """Return the lists that number these files; cached."""

    def work_out() -> Numbering:
        file_of, excluded = files_by_path(files), set(files)
        names = [name for name in source.tables() if name not in excluded]
        return numbering_of(source, names, lambda cell: _file_at(file_of, cell))

    lists: Numbering = source.once(("numbering", *files), work_out)
    return lists


def _with_partition(naming: NamingTable, tables: Sequence[NamingTable], file_of: dict[str, str]) -> NamingTable:
    """Return a table with the part of the split of each file, if another table gives it."""
    for item in tables:
        labels = item.labels(*item.columns[:1])
        if (
            item is not naming
            and naming.split is None
            and len(labels) == 1
            and is_partition(item.name, item.table[labels[0]])
        ):
            named = files_of_cells(item.table[item.columns[0]], file_of)
            part_of_file = dict(zip(named, numbered_parts(item.table[labels[0]]), strict=True))
            table = naming.table.copy()
            table[PART] = [part_of_file.get(file) for file in files_of_cells(table[naming.columns[0]], file_of)]
            return replace(naming, table=table.astype({PART: "string"}), split=PART)
    return naming


def _of_parts(candidates: Sequence[NamingTable]) -> NamingTable | None:
    """Return the tables named after the parts of a split as one; None if there are none."""
    parts = tables_in_parts([item.name for item in candidates]).parts or _parts_of_names(candidates)
    in_parts = sorted(
        (item for item in candidates if item.name in parts), key=lambda item: (parts[item.name], item.name)
    )
    # The table of the images to be submitted to a competition has no labels
    labeled = [item for item in in_parts if {*in_parts[0].table.columns} <= {*item.table.columns}]
    if not is_split(parts[item.name] for item in labeled):
        return None
    columns = [column for column in labeled[0].columns if all(column in item.columns for item in labeled)]
    if not columns:
        return None
    names = [item.name for item in labeled]
    table = concatenated([item.table for item in labeled], names, [parts[name] for name in names])
    return NamingTable(names[0], table, columns, PART, [note for item in labeled for note in item.notes])


def _parts_of_names(candidates: Sequence[NamingTable]) -> dict[str, int]:
    """Return the part of each table whose name has the word of one, if the tables have the same columns and labels that
    differ, and one is of each part, as the protocols cm.train.trn and cm.dev.trl of ASVspoof; {} for others."""
    part_of_name = {item.name: part_in(PurePosixPath(path_of(item.name)[-1]).stem) for item in candidates}
    parts = {name: part for name, part in part_of_name.items() if part is not None}
    in_parts = [item for item in candidates if item.name in parts]
    are_equal = len({tuple(item.table.columns) for item in in_parts}) == 1 and all(map(_has_labels, in_parts))
    return parts if are_equal and is_split(parts.values()) and len({*parts.values()}) == len(parts) else {}


def _usefulness(naming: NamingTable) -> tuple[int, bool, int]:
    """Return the sort key of tables: many columns that name files, labels that differ, and many rows."""
    return len(naming.columns), _has_labels(naming), len(naming.table)


def _has_labels(naming: NamingTable) -> bool:
    """Return whether a table has labels that differ, unlike one to fill in for a competition."""
    return any(naming.table[name].nunique() > 1 for name in naming.labels(*naming.columns))


def stated_parts(source: Source, files: Sequence[str]) -> FileParts:
    """Return the part of the split of each file: from a table or lists, or else from folders and file names.

    Raises:
        DataError: Some files are in a part, and others are not.
    """
    parts: FileParts = source.once(("parts", *files), lambda: _stated_parts(source, files))
    return parts


def _stated_parts(source: Source, files: Sequence[str]) -> FileParts:
    naming = naming_table(source, files)
    if naming is not None and naming.split is not None:
        parts = given_of(naming.table[naming.split], naming.split)
        named = files_of_cells(naming.table[naming.columns[0]], files_by_path(files))
        part_of_file = {file: int(part) for file, part in zip(named, parts, strict=True) if file is not None}
        return FileParts(part_of_file, _levels(files))
    listed = dict(numbering(source, files).parts) or _listed(source, files)
    return FileParts(listed, _levels(files)) if listed else file_parts(files)


def _levels(files: Sequence[str]) -> Mapping[str, int]:
    """Return the level of the folder that names a part, so that it is not read as a class."""
    try:
        return file_parts(files).level
    except DataError:
        return {}


def _listed(source: Source, files: Sequence[str]) -> dict[str, int]:
    """Return the parts of files named in lists such as train.txt and test.txt, one per line; {} without lists."""
    excluded = set(files)
    if len(excluded) == len(source.names):
        return {}
    lists = {name: part for name, part in lists_of_parts(source).items() if name not in excluded}
    file_of = files_by_path(files) if lists else {}
    return parts_of_lists(source, lists, lambda cell, _: _file_at(file_of, cell), files)


def files_by_path(files: Sequence[str]) -> dict[str, str]:
    """Files by their path, the end of their path, and their name with and without suffix, if that is unambiguous."""
    file_of: dict[str, str | None] = {}
    for file in files:
        parts = path_of(file)
        stem = PurePosixPath(parts[-1]).stem
        for start in range(len(parts)):
            for key in ("/".join(parts[start:]), "/".join((*parts[start:-1], stem))):
                # None marks a key of several files, which names none of them
                file_of[key] = file if file_of.get(key, file) == file else None
    return {key: file for key, file in file_of.items() if file is not None}


def files_of_cells(values: pd.Series, file_of: dict[str, str]) -> list[str | None]:
    """Return the file that each cell names, ignoring case if no name is equal; None if there is no such file.

    Absolute paths of another computer may begin with folders that are not in the upload.
    """
    folded: dict[str, str | None] = {}
    for path, file in file_of.items():
        folded[path.casefold()] = file if folded.get(path.casefold(), file) == file else None
    names = [composed(str(value).strip()) for value in padded_texts(values)]
    paths = [path_of(name) for name in names]
    around = _common_folders([path for name, path in zip(names, paths, strict=True) if _ABSOLUTE.match(name)])

    def named(name: str, path: tuple[str, ...]) -> str | None:
        for start in range(around + 1 if _ABSOLUTE.match(name) else 1):
            end = "/".join(path[start:]).removeprefix("./")
            if file := file_of.get(end) or folded.get(end.casefold()):
                return file
        return None

    return list(map(named, names, paths))


def _common_folders(paths: Sequence[tuple[str, ...]]) -> int:
    """Return the number of folders around all paths, without one that names a part of the split and those in it."""
    count = 0
    for folders in zip(*(path[:-1] for path in paths), strict=False):
        if len({*folders}) > 1 or part_of(folders[0]) is not None:
            break
        count += 1
    return count


def refuse_other_names(source: Source, files: Sequence[str]) -> None:
    """Refuse a table beside files that names other files of their types.

    Raises:
        DataError: There is such a table.
    """
    suffixes, named_files = {PurePosixPath(file).suffix.lower() for file in files} - {""}, set(files)
    for name in [name for name in source.tables() if name not in named_files][:MAX_TABLES]:
        try:
            table, _ = source.table(name)
        except DataError:
            continue
        for _, values in table.items():
            cells = [str(cell).strip() for cell in values.dropna().head(_SAMPLE)]
            named = [cell for cell in cells if PurePosixPath(cell).suffix.lower() in suffixes | set(PICTURE_SUFFIXES)]
            if named and len(named) > len(cells) / 2:
                raise DataError(
                    f"{name[:80]!r} names files such as {named[0][-80:]!r}, but those in the zip have names such as "
                    f"{files[0][-80:]!r}; write the names as they are in the zip, or the ends of their paths."
                )


def _naming_columns(table: pd.DataFrame, file_of: dict[str, str]) -> list[str]:
    """Return the columns whose cells name files.

    Labels such as 0 and 1 are not names beside files 0.png and 1.png: where a column has whole names, those without
    suffixes are left out, and so are columns with far fewer different names than others.
    """
    named = {str(column): _named_files(values, file_of) for column, values in table.items()}
    counts = {column: len(files) for column, (files, _) in named.items() if len(files) > 1}
    whole = [column for column in counts if named[column][1]]
    return whole or [column for column in counts if counts[column] >= max(counts.values()) * FEWEST_NAMES]


def _named_files(values: pd.Series, file_of: dict[str, str]) -> tuple[set[str], bool]:
    """Return the files that the first cells name, and whether by names with suffixes; none if few cells do."""
    sample = values.dropna().head(_SAMPLE)
    files = [file for file in files_of_cells(sample, file_of) if file is not None]
    if sample.empty or len(files) < len(sample) / 2:
        return set(), False
    suffixes = {PurePosixPath(file).suffix.lower() for file in files}
    with_suffix = [PurePosixPath(str(value).strip()).suffix.lower() in suffixes for value in sample]
    return set(files), "" not in suffixes and sum(with_suffix) >= len(sample) / 2


def rows_of(table: pd.DataFrame, columns: Sequence[str], files: Sequence[str], warnings: list[str]) -> pd.DataFrame:
    """Return the rows whose files exist, with the full names of the files in these columns.

    Raises:
        DataError: There are none.
    """
    file_of = files_by_path(files)
    table = table.reset_index(drop=True).copy()
    missing: list[str] = []
    for column in columns:
        named = files_of_cells(table[column], file_of)
        missing += [str(value) for value, file in zip(table[column], named, strict=True) if file is None]
        table[column] = named
    remaining = table[table[list(columns)].notna().all(axis=1)]
    if not len(remaining):
        raise DataError(
            f"No row of the table names a file of the upload; {columns[0]!r} holds values such as "
            f"{missing[0][:80]!r}, and the files have names such as {files[0][:80]!r}."
        )
    if missing:
        warnings.append(
            f"Left out {counted(len(table) - len(remaining), 'row')} with names of missing files, such as "
            f"{missing[0][:80]!r}."
        )
    return remaining.reset_index(drop=True)


def label_columns(table: pd.DataFrame, naming: Sequence[str]) -> list[str]:
    """Return the columns that may be targets."""
    return [str(name) for name in table.columns if str(name) not in naming]
