"""The data sets in several files: parts of a split, tables with the same columns, or different tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.data.splits.given_splits import TEST, TRAIN, FileParts, is_split, part_in, path_of
from netloom.data.uploads.files.joining import (
    MAX_FILES,
    Tables,
    as_one_type,
    joined,
    reads,
    refuse_other_columns,
    tables_in_parts,
)
from netloom.modalities.columns.column_kind import free_name

if TYPE_CHECKING:
    import pandas as pd

FILE = "file"  # the name of the column that is added to tables with the same columns
FEWEST_ROWS = 3  # of a table; the first lines of a text with commas can look like a table, too
MOSTLY = 0.8  # the share of files that are tables, for them not to describe the others
MAX_SINGLE = 20  # files of one set that can also be chosen one by one
_SUBMISSION = re.compile(r"(?i)submi(t|ssion)")
_ABOUT = {"readme", "license", "licence", "citation", "changelog", "changes", "notes", "about", "copying"}
_ABOUT_SUFFIXES = (".md", ".rst", ".html", ".names", ".info", ".pdf")  # winequality.names describes winequality-red.csv


@dataclass(frozen=True)
class TableSet:
    """The files of one data set.

    Attributes:
        are_parts: Whether the files are the parts of a split.
        rows: The rows of the largest file.
        left_out: The files of a competition without the target, which only its organizers know.
    """

    names: tuple[str, ...]
    are_parts: bool = False
    rows: int = 0
    left_out: tuple[str, ...] = ()


def table_sets(source: Tables) -> dict[str, TableSet]:
    """Return the data sets of a source by name, the most likely one first; {} if its files are not tables."""
    if competition := _competition(source):
        return {competition.names[0]: competition}
    in_parts = tables_in_parts(source.tables())
    if in_parts.parts:
        return _sets_in_parts(source, in_parts)
    names = [name for name in source.names if not is_about(name)]
    if not 1 <= len(names) <= MAX_FILES or len(source.tables()) < MOSTLY * len(names):
        return {}
    tables = {name: source.table(name)[0] for name in names if reads(source, name)}
    tables = {name: table for name, table in tables.items() if len(table) >= FEWEST_ROWS}
    if len(tables) < MOSTLY * len(names):
        return {}
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, table in tables.items():
        # Files with other suffixes are other data, such as u.data, which has the rows of u1.base and u1.test
        key = (_suffix(name), *sorted(map(str, table.columns)))
        groups.setdefault(key, []).append(name)
    sets = [
        TableSet(tuple(group), rows=max(len(tables[name]) for name in group))
        for group in sorted(groups.values(), key=lambda group: -max(len(tables[name]) for name in group))
    ]
    single = [TableSet((name,)) for joined_set in sets for name in joined_set.names if len(joined_set.names) > 1]
    return {_title(item, names): item for item in [*sets, *(single if len(names) <= MAX_SINGLE else [])]}


def read_set(source: Tables, sets: Mapping[str, TableSet], chosen: str = "") -> tuple[pd.DataFrame, list[str]]:
    """Return the table of one of the data sets, by default of the most likely one, and notes.

    Raises:
        DataError: There is none, it cannot be read, or its files have different columns.
    """
    if not sets:
        return joined(source)
    name = chosen if chosen in sets else next(iter(sets))
    item = sets[name]
    if item.are_parts:
        table, notes = joined(source, item.names if len(sets) > 1 or item.left_out else ())
    elif len(item.names) > 1:
        table, notes = _stacked(source, item.names)
    else:
        table, notes = source.table(item.names[0])
    if item.left_out:
        notes = [*notes, *_competition_notes(source, item)]
    other_sets = [title for title, table_set in sets.items() if set(table_set.names).isdisjoint(item.names)]
    if other_sets:
        notes = [*notes, f"The files hold several data sets; {name!r} is read, and {_listed(other_sets)} left out."]
    return table, notes


def _competition(source: Tables) -> TableSet | None:
    """Return the training table of a competition, beside a test without the target and a table to submit."""
    names = source.tables()
    submissions = [name for name in names if _SUBMISSION.search(path_of(name)[-1])]
    part_of_name = {name: part_in(PurePosixPath(path_of(name)[-1]).stem) for name in names if name not in submissions}
    training = [name for name, part in part_of_name.items() if part == TRAIN]
    if not submissions or len(training) != 1 or not reads(source, training[0]):
        return None
    columns = {*source.table(training[0])[0].columns}
    others = {name: {*source.table(name)[0].columns} for name in part_of_name if reads(source, name)}
    complete = [name for name, other in others.items() if part_of_name[name] is not None and other == columns]
    without_target = [name for name, other in others.items() if part_of_name[name] is not None and other < columns]
    if any(part_of_name[name] == TEST and name not in without_target for name in others):
        return None
    ordered = tuple(sorted(complete, key=lambda name: part_of_name[name] or 0))
    return TableSet(ordered, are_parts=len(ordered) > 1, left_out=(*without_target, *submissions))


def _competition_notes(source: Tables, competition: TableSet) -> list[str]:
    """Return notes on the tables that are not read, with the reason."""
    known = {*competition.names, *competition.left_out}
    others = [name for name in source.tables() if name not in known and not is_about(name) and reads(source, name)]
    listed = " and ".join(repr(name[-60:]) for name in competition.left_out)
    training = " and ".join(repr(name[-60:]) for name in competition.names)
    has = "has" if len(competition.names) == 1 else "have"
    notes = [f"Left out {listed}, as in a competition only {training} {has} the target."]
    if others:
        other_names = ", ".join(repr(name[-60:]) for name in others)
        notes.append(f"Left out {other_names}: tables beside those of the split with the target.")
    return notes


def _stacked(source: Tables, names: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the tables below each other, with the name of the file of each row as the first column, and notes."""
    import pandas as pd

    tables = as_one_type([source.table(name)[0] for name in names])
    notes = list(dict.fromkeys(note for name in names for note in source.table(name)[1]))
    column = free_name(FILE, [str(name) for name in tables[0].columns])
    stems = _short(names)
    labeled = [
        pd.concat([pd.Series(stem, index=table.index, dtype="string", name=column), table], axis=1)
        for table, stem in zip(tables, stems, strict=True)
    ]
    notes.append(
        f"{len(names):,} files have the same columns and are read as one table; the column {column!r} names the file "
        "of each row."
    )
    return pd.concat(labeled, ignore_index=True), notes


def _sets_in_parts(source: Tables, in_parts: FileParts) -> dict[str, TableSet]:
    """Return a data set for each folder, name or suffix that comes in parts, if their columns differ, or else a single
    one."""
    parts, groups = in_parts.parts, dict[str, list[str]]()
    suffixes = {suffix: [name for name in parts if _suffix(name) == suffix] for suffix in map(_suffix, parts)}
    come_in_parts = len(suffixes) > 1 and all(is_split(map(parts.get, names)) for names in suffixes.values())
    for name in parts:
        title = "/".join(filter(None, in_parts.remainder(name)))
        groups.setdefault(title + (_suffix(name) if come_in_parts else ""), []).append(name)
    whole = {"": TableSet(tuple(parts), are_parts=True)}
    if len(groups) < 2:
        return whole
    try:
        tables = {title: [source.table(name)[0] for name in names] for title, names in groups.items()}
        for title, names in groups.items():
            for table, name in zip(tables[title][1:], names[1:], strict=True):
                refuse_other_columns(tables[title][0], names[0], table, name)
    except DataError:
        return whole  # reading it reports the error
    columns = {frozenset(map(str, group[0].columns)) for group in tables.values()}
    if len(columns) < 2 or not all(is_split(parts[name] for name in names) for names in groups.values()):
        return whole
    rows = {title: max(map(len, group)) for title, group in tables.items()}
    return {
        title or groups[title][0]: TableSet(tuple(groups[title]), are_parts=True, rows=rows[title])
        for title in sorted(groups, key=lambda title: -rows[title])
    }


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _listed(titles: Sequence[str]) -> str:
    first = repr(titles[0][:60])
    return f"{first} is" if len(titles) == 1 else f"{first} and {len(titles) - 1:,} more are"


def _title(item: TableSet, names: Sequence[str]) -> str:
    """Return the name of a data set: that of its file below the common folder, or the number of files."""
    shown = dict(zip(names, _short(names, suffix=True), strict=True))
    first = shown[item.names[0]]
    return first if len(item.names) == 1 else f"{len(item.names):,} files, such as {first}"


def _short(names: Sequence[str], *, suffix: bool = False) -> list[str]:
    """Return the names of files without the folders that they share."""
    paths = [path_of(name) for name in names]
    shared = 0
    with suppress(IndexError):
        while len({path[shared] for path in paths}) == 1 and all(len(path) > shared + 1 for path in paths):
            shared += 1
    short = ["/".join(path[shared:]) for path in paths]
    return short if suffix else [str(PurePosixPath(name).with_suffix("")) for name in short]


def is_about(name: str) -> bool:
    """Return whether a file describes the others."""
    path = PurePosixPath(path_of(name)[-1])
    return path.stem.lower().strip("_") in _ABOUT or path.suffix.lower() in _ABOUT_SUFFIXES
