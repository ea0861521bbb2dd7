"""Pairs and triplets of images by folders, names and lists: anchor/1.png, 001/positive.png, same/7/a.png, left/1.png
beside a table of labels, and pairs.txt of Labeled Faces in the Wild."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.data import file_types
from netloom.data.splits.given_splits import NAMES, is_split, part_in, path_of
from netloom.data.uploads.files.joining import PART
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.pairing import FIELDS, ROLES, role_of

if TYPE_CHECKING:
    import pandas as pd

LABEL = "label"
_SIDES = (("left", "right"), ("first", "second"), ("one", "two"), ("image1", "image2"), ("img1", "img2"), ("a", "b"))
_RELATIONS = ({"same", "different"}, {"similar", "dissimilar"}, {"match", "mismatch"}, {"match", "no_match"},
              {"genuine", "forged"}, {"genuine", "impostor"}, {"positive", "negative"}, {"pos", "neg"})  # fmt: skip
_MOSTLY = 0.8  # the share of the files, or of the lines
_MAX_TABLES = 20
_SAMPLE = 200  # files
_SEPARATOR = re.compile(r"[ _-]")
Find = Callable[[str], str | None]


class Tuples(NamedTuple):
    """A table of pairs or triplets, and notes on what is left out."""

    table: pd.DataFrame
    notes: list[str]


def triplet_table(files: Sequence[str]) -> Tuples | None:
    """Return the table of triplets whose folders or names are anchor, positive and negative; None without them."""
    triplets = _table_of_roles(files, ROLES, role_of)
    if triplets is None:
        return None
    return Tuples(triplets.reset_index(drop=True), _incomplete_notes(files, triplets, "triplets"))


def pair_table(source: Source, names: Sequence[str], files: Sequence[str], find: Find) -> Tuples | None:
    """Return the table of pairs with their label, and the part of the split if lists give it; None without them.

    Args:
        names: The files that may be tables or lists.
        find: Returns the file that a text names, or None.
    """
    related = _related_folders(files)
    if related is not None:
        return Tuples(related, [])
    listed = _listed_pairs(source, names, find)
    return Tuples(listed, []) if listed is not None else _labeled_sides(source, names, files)


def _table_of_roles(
    files: Sequence[str], roles: Sequence[str], role_in: Callable[[str], str | None]
) -> pd.DataFrame | None:
    """Return the table with a column for each role and the key of each row as the index; None unless most files have a
    role in a row that has all of them."""
    import pandas as pd

    some = files[:: max(1, len(files) // _SAMPLE)]
    if sum(_role_and_key(file, role_in)[0] is not None for file in some) < _MOSTLY / 2 * len(some):
        return None
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for file in files:
        role, key = _role_and_key(file, role_in)
        if role is not None:
            rows.setdefault(key, {})[role] = file
    complete = {"/".join(key): row for key, row in rows.items() if row.keys() == {*roles}}
    if len(complete) < 2 or len(roles) * len(complete) < _MOSTLY * len(files):
        return None
    return pd.DataFrame.from_dict(complete, orient="index", columns=list(roles)).astype("string")


def _role_and_key(file: str, role_in: Callable[[str], str | None]) -> tuple[str | None, tuple[str, ...]]:
    """Return the role of a file, by a folder or its name, and the rest of its path."""
    *folders, name = path_of(file)
    stem = PurePosixPath(name).stem
    for place in reversed(range(len(folders))):
        if role := role_in(folders[place]):
            return role, (*folders[:place], *folders[place + 1 :], stem)
    for words in (_SEPARATOR.split(stem), [stem]):
        for last in (len(words) - 1, 0):
            if role := role_in(words[last]):
                return role, (*folders, *words[:last], *words[last + 1 :])
    return None, ()


def _related_folders(files: Sequence[str]) -> pd.DataFrame | None:
    """Return the pairs in folders such as same/7, which hold two images each; None unless all do."""
    import pandas as pd

    by_folder: dict[tuple[str, ...], list[str]] = {}
    for file in files:
        by_folder.setdefault(path_of(file)[:-1], []).append(file)
    if any(len(folder) < 2 or len(pair) != 2 for folder, pair in by_folder.items()):
        return None
    if {folder[-2].lower().replace(" ", "_") for folder in by_folder} not in _RELATIONS:
        return None
    rows = [[*sorted(pair), folder[-2]] for folder, pair in sorted(by_folder.items())]
    return pd.DataFrame(rows, columns=[*FIELDS, LABEL]).astype("string")


def _listed_pairs(source: Source, names: Sequence[str], find: Find) -> pd.DataFrame | None:
    """Return the pairs of lists such as pairs.txt of Labeled Faces in the Wild: `name 1 4` for two images of a person,
    `name 1 other 2` for those of two."""
    import pandas as pd

    parts, rows = dict[str, int | None](), list[list[str | None]]()
    for name in names:
        stem = PurePosixPath(path_of(name)[-1]).stem
        if source.members.form(name) != file_types.TEXT or not stem.startswith("pairs"):
            continue
        lines = [*filter(None, source.lines(name))]
        pairs = [pair for line in lines if (pair := _faces(line.split(), find)) is not None]
        if 2 * len(pairs) < len(lines):
            continue
        # pairsDevTrain.txt and pairsDevTest.txt are of the development set
        number = parts[name] = part_in(stem.removeprefix("pairs").replace("Dev", ""))
        rows += [[*pair, None if number is None else NAMES[number]] for pair in pairs]
    if not rows:
        return None
    table = pd.DataFrame(rows, columns=[*FIELDS, LABEL, PART]).astype("string")
    return table if is_split(parts.values()) else table.drop(columns=PART).drop_duplicates(ignore_index=True)


def _faces(words: Sequence[str], find: Find) -> tuple[str, str, str] | None:
    """Return the two files in a line and whether they show the same person; None for another line."""
    if len(words) not in (3, 4) or not words[1].isdigit() or not words[-1].isdigit():
        return None
    first, second = (words[0], words[1]), (words[0] if len(words) == 3 else words[2], words[-1])
    files = [find(f"{person}/{person}_{int(number):04}") for person, number in (first, second)]
    if files[0] is None or files[1] is None:
        return None
    return files[0], files[1], "same" if len(words) == 3 else "different"


def _labeled_sides(source: Source, names: Sequence[str], files: Sequence[str]) -> Tuples | None:
    """Return the pairs of files of one name in two folders such as left and right, with the labels of a table that has
    these names."""
    for sides in _SIDES if names else ():
        pairs = _table_of_roles(files, sides, partial(_side, sides))
        if pairs is None:
            continue
        for table in _tables(source, names):
            for column in table.columns if len(table.columns) > 1 else []:
                labeled = _with_pairs(table, str(column), pairs)
                if labeled is not None:
                    return Tuples(labeled, _labeling_notes(files, pairs, labeled, len(table)))
    return None


def _side(sides: Sequence[str], text: str) -> str | None:
    return text.lower() if text.lower() in sides else None


def _with_pairs(table: pd.DataFrame, column: str, pairs: pd.DataFrame) -> pd.DataFrame | None:
    """Return the pairs with the other columns of a table; None if this column does not have their names."""
    stems = [PurePosixPath(str(cell).strip()).stem for cell in table[column]]
    named = pairs.set_axis([key.rpartition("/")[2] for key in pairs.index])
    if not named.index.is_unique or sum(stem in named.index for stem in stems) < _MOSTLY * len(stems):
        return None
    files = named.reindex(stems).reset_index(drop=True)
    labels = table.drop(columns=[column, *pairs.columns], errors="ignore")
    return files.join(labels).dropna(subset=list(pairs.columns)).reset_index(drop=True)


def _incomplete_notes(files: Sequence[str], tuples: pd.DataFrame, noun: str) -> list[str]:
    """Return a note on the images whose pair or triplet lacks another."""
    return _note_on(files, tuples, f"of incomplete {noun}")


def _labeling_notes(files: Sequence[str], pairs: pd.DataFrame, labeled: pd.DataFrame, rows: int) -> list[str]:
    """Return notes on images without the other of their pair, pairs without labels, and labels without images."""
    notes = _incomplete_notes(files, pairs, "pairs")
    notes += _note_on([str(file) for file in pairs.to_numpy().ravel()], labeled[[*pairs.columns]], "without a label")
    if rows > len(labeled):
        notes.append(f"Left out {counted(rows - len(labeled), 'row')} of the table that name no pair of images.")
    return notes


def _note_on(files: Sequence[str], table: pd.DataFrame, reason: str) -> list[str]:
    used = {*table.to_numpy().ravel()}
    left_out = [file for file in files if file not in used]
    if not left_out:
        return []
    return [f"Left out {counted(len(left_out), 'image')} {reason}, such as {left_out[0][-60:]!r}."]


def _tables(source: Source, names: Sequence[str]) -> list[pd.DataFrame]:
    tables = []
    for name in names[:_MAX_TABLES]:
        try:
            tables.append(source.table(name)[0])
        except DataError:
            continue
    return tables
