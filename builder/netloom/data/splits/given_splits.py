"""Which rows are for training, for validation and for the test, as data says it: by a column, a file or a folder.

Every kind of data takes these words from here, so that none reads them in a way of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
NO_PART = -1
# What a part of a split is called, in any case.
WORDS: Mapping[str, int] = {
    **dict.fromkeys(("train", "training", "trn", "fit", "learn"), TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), VALIDATION),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "holdout", "hold-out", "t10k"), TEST),
}
# What a column is called that says the part of each row; of which it is one, its cells decide.
_COLUMN = re.compile(r"(?i)(data[ _-]?)?(split|set|subset|partition|fold|part|usage|phase)([ _-]?(name|type|id))?")
_FLAGS = {"train": TRAIN, "training": TRAIN, "valid": VALIDATION, "validation": VALIDATION, "val": VALIDATION,
          "dev": VALIDATION, "test": TEST, "testing": TEST, "holdout": TEST}  # fmt: skip
_FLAG = re.compile(r"(?i)is[ _-]?([a-z]+)")
_NOUN = re.compile(r"[ _-]?(set|split|data|part|rows?)$")
_PIECE = re.compile(r"t10k|[a-z]+")
_SPELLINGS = 20  # of parts in one column, such as Train and train
_YES, _NO = {"true", "yes", "1", "1.0"}, {"false", "no", "0", "0.0"}


def part_of(text: object) -> int | None:
    """The part that a word means, such as Test or training set; None where it means none."""
    plain = str(text).strip().lower()
    return WORDS.get(plain, WORDS.get(_NOUN.sub("", plain)))


def part_in(name: str) -> int | None:
    """The one part that the name of a file or folder speaks of, such as train2017 or x_test."""
    whole = part_of(name)
    found = {WORDS[piece] for piece in _PIECE.findall(name.lower()) if piece in WORDS}
    return whole if whole is not None else found.pop() if len(found) == 1 else None


def is_split(parts: Iterable[int | None]) -> bool:
    """Whether every one has a part, and training is one of several."""
    found = set(parts)
    return None not in found and len(found) > 1 and TRAIN in found


# ---------------------------------------------------------------- columns


def tells_parts(values: pd.Series) -> bool:
    """Whether a column's cells are names of parts, of training and of another."""
    found = _texts(values)
    return len(found) <= _SPELLINGS and is_split(part_of(value) for value in found) and bool(found)


def split_column(table: pd.DataFrame, *, partly: bool = False) -> str | None:
    """The column that says which rows are for training: by its cells, by its name and some of its cells, or as a flag
    such as is_test. In a table of which only the beginning is known (`partly`), one part alone may stand there."""
    for name in table.columns:
        if tells_parts(_seen(table, name)):
            return str(name)
    for name in table.columns:
        if _FLAG.fullmatch(str(name).strip()) and _flag(str(name)) is not None and _is_flag(table[name], partly):
            return str(name)
        if not _COLUMN.fullmatch(str(name).strip()):
            continue
        found = _texts(_seen(table, name))
        named = {part_of(value) for value in found} if 0 < len(found) <= _SPELLINGS else set()
        # What such a column says besides is refused in words as it is read, and never taken for something else.
        if TRAIN in named and (len(named - {None}) > 1 or partly):
            return str(name)
    return None


def given_of(values: pd.Series, name: str) -> np.ndarray:
    """The part of each row (R,), `NO_PART` where a cell is empty.

    Raises:
        DataError: a cell names no part, or no row is for training.
    """
    import pandas as pd

    codes, found = pd.factorize(values)
    flag = _flag(name)
    parts: list[int] = []
    for value in pd.Index(found).tolist():
        plain = str(value).strip().lower()
        if flag is not None and plain in _YES | _NO:
            part: int | None = flag if plain in _YES else TEST if flag == TRAIN else TRAIN
        else:
            part = part_of(value)
        if part is None:
            raise DataError(
                f"The column {name!r} says {str(value)[:60]!r}; a split is train, validation or test. Correct these "
                "cells, or choose no split column."
            )
        parts.append(part)
    return np.array([*parts, NO_PART], dtype=np.int64)[codes]


def _seen(table: Any, name: Any) -> pd.Series:
    """A column; of a table in a file, none of its numbers, as their type says that they are none of these words."""
    found: pd.Series = table.for_inference(name) if hasattr(table, "typed") else table[name]
    return found


def _texts(values: pd.Series) -> list[str]:
    """The different cells of a column of texts; none of other columns."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(values) and values.dtype.name != "category":
        return []
    return [str(value) for value in values.dropna().unique()[: _SPELLINGS + 1]]


def _flag(name: str) -> int | None:
    found = _FLAG.fullmatch(name.strip())
    return _FLAGS.get(found[1].lower()) if found else None


def _is_flag(values: pd.Series, partly: bool) -> bool:
    said = {str(value).strip().lower() for value in values.dropna().unique()[:_SPELLINGS]}
    return said <= _YES | _NO and bool(said) and (partly or (bool(said & _YES) and bool(said & _NO)))


# ---------------------------------------------------------------- files and folders


@dataclass(frozen=True)
class FileParts:
    """The part that each file belongs to; nothing where files say none. `level` is the place in a file's path that says
    it, -1 for the file's own name."""

    parts: Mapping[str, int] = field(default_factory=dict)
    level: Mapping[str, int] = field(default_factory=dict)

    def of(self, names: Sequence[str]) -> np.ndarray | None:
        """The part of each of some files (R,), or None where files say none."""
        return np.array([self.parts.get(name, NO_PART) for name in names]) if self.parts else None

    def rest(self, name: str) -> tuple[str, ...]:
        """The folders of a file, and its name without its ending, without what says the part."""
        path = path_of(name)
        stem = PurePosixPath(path[-1]).stem
        level = self.level.get(name)
        if level is None:
            return (*path[:-1], stem)
        if level >= 0:
            return (*path[:level], *path[level + 1 : -1], stem)
        return (*path[:-1], _remainder(stem))


def path_of(name: str) -> tuple[str, ...]:
    """The folders and the name of a file."""
    return PurePosixPath(name.replace("\\", "/")).parts or ("",)


def file_parts(names: Sequence[str]) -> FileParts:
    """The part that each file belongs to, by a folder such as train/ or else by its own name, such as x_test.csv.

    Raises:
        DataError: some of the files belong to a part, and others to none.
    """
    paths = {name: path_of(name) for name in names}
    for level in range(min((len(path) - 1 for path in paths.values()), default=0)):
        found = {name: part_in(path[level]) for name, path in paths.items()}
        if is_split(found.values()) and _alike({name: path[level] for name, path in paths.items()}, found):
            return FileParts({name: int(part or 0) for name, part in found.items()}, dict.fromkeys(names, level))
    stems = {name: PurePosixPath(path[-1]).stem for name, path in paths.items()}
    found = {name: part_in(stem) for name, stem in stems.items()}
    if is_split(found.values()) and _alike(stems, found):
        return FileParts({name: int(part or 0) for name, part in found.items()}, dict.fromkeys(names, -1))
    levels = {name: _level(path) for name, path in paths.items()}
    known = {name: part_of(paths[name][level]) for name, level in levels.items() if level is not None}
    if known and is_split(known.values()):
        _refuse_others([name for name in names if name not in known], len(names))
        parts = {name: int(part or 0) for name, part in known.items()}
        return FileParts(parts, {name: int(level or 0) for name, level in levels.items()})
    whole = {name: part_of(stem) for name, stem in stems.items() if part_of(stem) is not None}
    if whole and is_split(whole.values()):
        _refuse_others([name for name in names if name not in whole], len(names))
    return FileParts()


def _level(path: Sequence[str]) -> int | None:
    """The first folder of a path that is called as a part."""
    return next((level for level, folder in enumerate(path[:-1]) if part_of(folder) is not None), None)


def _remainder(stem: str) -> str:
    """A file's name without the word that says its part, and without the marks around it."""
    kept = [piece for piece in re.split(r"[^A-Za-z0-9]+", stem) if piece and part_in(piece) is None]
    return "_".join(kept)


def _alike(said: Mapping[str, str], found: Mapping[str, int | None]) -> bool:
    """Whether names say the same in each part but for the part: so do train_x and test_x, but no two classes that are
    called train_station and test_tube."""
    rests: dict[int, set[str]] = {}
    for name, part in found.items():
        letters = "".join(re.findall(r"[a-z]+", _remainder(said[name]).lower()))
        rests.setdefault(int(part or 0), set()).add("" if part_of(said[name]) is not None else letters)
    return all(rests[TRAIN] & other for other in rests.values())


def _refuse_others(others: Sequence[str], count: int) -> None:
    if others:
        raise DataError(
            f"{len(others):,} of {count:,} files, such as {others[0][:80]!r}, are in no part of the split, while "
            "others are called train and test (or validation); put each file into one part, or rename those that are "
            "none."
        )


def refuse_as_classes(classes: Iterable[str], what: str) -> None:
    """Raises:
    DataError: the classes would be the parts of a split, which says nothing of what a row is.
    """
    found = sorted(set(classes))
    parts = [part_of(name) for name in found]
    if len(found) > 1 and is_split(parts):
        raise DataError(
            f"{', '.join(map(repr, found))} are the parts of a split and no classes. Say the class of each {what}, "
            f"too: by a folder within each part, such as {found[-1]}/yes and {found[-1]}/no, or in a table."
        )
