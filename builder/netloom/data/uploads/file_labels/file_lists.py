"""Text files with a file and its labels on each line, with blanks between them, such as the lists of Caffe, ImageNet,
Pascal VOC and CelebA."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.dialect import column_names, has_no_header, numbered_names
from netloom.data.splits.given_splits import NAMES, TEST, TRAIN, VALIDATION, is_split, part_of, path_of
from netloom.data.tables.plain_types import plain_table
from netloom.data.uploads.files.joining import PART
from netloom.data.uploads.files.source import Source

if TYPE_CHECKING:
    import pandas as pd

FILE, LABEL, LABELS = "file", "label", "labels"
Find = Callable[[str], str | None]
_MAX_LISTS = 200
_SAMPLE = 50  # lines
_HEAD_BYTES = 2**14  # the names of the 40 attributes of CelebA alone have 427
_HEAD_LINES = 3  # at most, before the first file: their number, and the names of the labels
_OF_CLASS = re.compile(r"(.+)_(train|val|trainval|test)")  # aeroplane_train.txt of Pascal VOC
_PARTITION = re.compile(r"(?i).*(partition|split).*")  # list_eval_partition of CelebA
_TRAIN_TEST = re.compile(r"(?i).*train.*test.*")  # train_test_split of CUB, with 1 for training
_NUMBERED_PARTS = {"0": TRAIN, "1": VALIDATION, "2": TEST}
_MEMBER, _UNSURE, _OTHER = "1", "0", "-1"


def list_table(source: Source, name: str, find: Find) -> pd.DataFrame | None:
    """Return the table of a list of files with labels; None if a file is something else.

    Args:
        find: Returns the file that a text names, or None.
    """
    import pandas as pd

    if source.members.form(name) != file_types.TEXT:
        return None
    if b"\t" in source.members.head(name, _HEAD_BYTES):
        return None  # a table, whose cells may be empty or have blanks
    if not _lists_files([" ".join(row) for row in _head(source, name)], find):
        return _column_table(source, name, find)
    lines = _lines(source, name)
    first = next((index for index, line in enumerate(lines) if find(_split(line, find)[0])), None)
    if first is None:
        return None  # the file cannot be decoded
    rows = [_split(line, find) for line in lines[first:]]
    width = max(len(labels) for _, labels in rows)
    titles = lines[first - 1].split() if first and len(lines[first - 1].split()) in (width, width + 1) else []
    names = titles[-width:] if titles else [LABEL] if width == 1 else [f"{LABEL} {n}" for n in range(1, width + 1)]
    table = pd.DataFrame([labels + [None] * (width - len(labels)) for _, labels in rows], columns=names)
    table.insert(0, FILE if FILE not in names else f"{FILE} name", [file for file, _ in rows])
    return plain_table(table, written=True)


def _column_table(source: Source, name: str, find: Find) -> pd.DataFrame | None:
    """Return the table of a list with as many words on each line, one of which, but not the first, names a file, as in
    the protocols of ASVspoof: the speaker, the file, the attack and the label; None for other lists."""
    import pandas as pd

    column = _file_column([row for row in _head(source, name) if row], find)
    if column is None:
        return None
    rows = [line.split() for line in _lines(source, name)]
    width = len(rows[0]) if rows else 0
    if not all(len(row) == width for row in rows):
        return None
    is_headless = find(rows[0][column]) is not None or has_no_header(rows[:_SAMPLE])
    names = numbered_names(width) if is_headless else column_names(rows.pop(0))
    return plain_table(pd.DataFrame(rows, columns=names), written=True)


def _file_column(rows: Sequence[list[str]], find: Find) -> int | None:
    """Return the place of the only word that names a different file on most lines; None if there is none, or several.

    Numbers are not names: those of classes can be the names of files, too.
    """
    below = rows[1:]  # the first line can have the names of the columns
    if not below or len({*map(len, rows)}) > 1 or any(mark in word for row in rows for word in row for mark in ",;|"):
        return None
    places = []
    for place, cells in enumerate(zip(*below, strict=True)):
        files = {find(cell) for cell in cells if not cell.isdigit()} - {None}
        places += [place] if 2 * len(files) > len(cells) else []
    return places[0] if len(places) == 1 and len(rows[0]) > 1 else None


def class_lists(source: Source, names: Sequence[str], find: Find) -> pd.DataFrame | None:
    """Return the table of lists for several classes, which have 1 after the files of a class and -1 after others, as in
    ImageSets/Main of Pascal VOC: the columns `file`, `labels` with ; between them, and the part; None without them."""
    import pandas as pd

    lists: dict[str, dict[str, str]] = {}
    for name in names:
        match = _OF_CLASS.fullmatch(PurePosixPath(path_of(name)[-1]).stem)
        if match is not None and _is_class_list(source, name, find):
            lists.setdefault(match[1], {})[match[2]] = name
    if len(lists) < 2:
        return None
    labels: dict[str, list[str]] = {}
    part_of_file: dict[str, str | None] = {}
    for label, files in lists.items():
        chosen = {part: name for part, name in files.items() if part != "trainval"} or files
        for part, name in chosen.items():
            number = part_of(part)
            for file, mark in [words for line in _lines(source, name) if len(words := line.split()) == 2]:
                part_of_file[file] = None if number is None else NAMES[number]
                labels.setdefault(file, []).extend([label] if mark != _OTHER else [])
    table = pd.DataFrame({FILE: list(labels), LABELS: [";".join(of_file) or None for of_file in labels.values()]})
    if None not in part_of_file.values():
        table[PART] = [part_of_file[file] for file in labels]
    return plain_table(table)


def is_partition(name: str, values: pd.Series) -> bool:
    """Return whether a table gives the part of each file as 0, 1 or 2: training, validation and test."""
    cells = {str(value) for value in values.unique()}
    is_named = _PARTITION.fullmatch(PurePosixPath(path_of(name)[-1]).stem) is not None
    return is_named and cells <= _NUMBERED_PARTS.keys() and is_split(map(_NUMBERED_PARTS.get, cells))


def numbered_parts(values: pd.Series) -> pd.Series:
    """Return the names of parts from 0, 1 and 2; other cells are missing."""
    return values.map(lambda value: NAMES[_NUMBERED_PARTS[str(int(value))]], na_action="ignore").astype("string")


@dataclass(frozen=True)
class Numbering:
    """Lists that number the files, and refer to them by their numbers: images.txt and train_test_split.txt of CUB.

    Attributes:
        lists: The names of these lists.
        parts: The part of the split of each file; {} if no list gives it.
    """

    lists: frozenset[str] = frozenset()
    parts: Mapping[str, int] = field(default_factory=dict)


def numbering_of(source: Source, names: Sequence[str], find: Find) -> Numbering:
    """Return the lists that number the files of a source."""
    if len(names) > _MAX_LISTS:
        return Numbering()
    heads = {name: _head(source, name) for name in names if source.members.form(name) == file_types.TEXT}
    first = next((name for name, rows in heads.items() if rows and all(_numbers_file(row, find) for row in rows)), None)
    if first is None:
        return Numbering()
    files = {row[0]: str(find(row[1])) for line in _lines(source, first) if _numbers_file(row := line.split(), find)}
    lists = [name for name, rows in heads.items() if rows and all(len(row) > 1 and row[0] in files for row in rows)]
    for name in lists:
        rows = [line.split() for line in _lines(source, name)]
        is_named = _TRAIN_TEST.fullmatch(PurePosixPath(path_of(name)[-1]).stem) is not None
        if is_named and {tuple(row[1:]) for row in rows} == {("0",), ("1",)}:
            parts = {files[row[0]]: TRAIN if row[1] == "1" else TEST for row in rows if row[0] in files}
            return Numbering(frozenset(lists), parts)
    return Numbering(frozenset(lists))


def _head(source: Source, name: str) -> list[list[str]]:
    """Return the words of the first lines of a text."""
    lines = source.members.head(name, _HEAD_BYTES).decode("utf-8", "ignore").splitlines()[: _SAMPLE + 1]
    return [line.split() for line in (lines[:-1] or lines) if line.strip()]


def _numbers_file(row: list[str], find: Find) -> bool:
    return len(row) == 2 and row[0].isdigit() and "." in row[1] and find(row[1]) is not None


def _lists_files(lines: list[str], find: Find) -> bool:
    """Return whether most lines have a file and a label, after at most a few others."""
    rows = [_split(line, find) for line in lines if line.strip()]
    places = [index for index, (file, labels) in enumerate(rows) if labels and find(file)]
    return bool(places) and places[0] < _HEAD_LINES and 2 * len(places) > len(rows) - places[0]


def _is_class_list(source: Source, name: str, find: Find) -> bool:
    rows = _head(source, name)
    return bool(rows) and all(
        len(row) == 2 and row[1] in (_MEMBER, _UNSURE, _OTHER) and find(row[0]) is not None for row in rows
    )


def _split(line: str, find: Find) -> tuple[str, list[str]]:
    """Return the file of a line, whose name may have blanks, and its labels."""
    words = line.split()
    for count in range(1, len(words)):
        file = " ".join(words[:count])
        if find(file) is not None:
            return file, words[count:]
    return " ".join(words[:1]), words[1:]


def _lines(source: Source, name: str) -> list[str]:
    """Return the lines of a list that are not empty; [] if it cannot be decoded."""
    try:
        return [*filter(None, source.lines(name))]
    except DataError:
        return []
