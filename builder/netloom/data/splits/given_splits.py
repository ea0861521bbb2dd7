"""Given splits: the names of columns, cells, files and folders that assign rows to training, validation and test.

All kinds of data use these words, so that all read them in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
NO_PART = -1
# Names of the parts of a split, in any case.
# t10k is the test set in the file names of MNIST.
WORDS: Mapping[str, int] = {
    **dict.fromkeys(("train", "training", "trn", "fit", "learn"), TRAIN),
    # The public and the private test of a competition of Kaggle, as in FER-2013
    **dict.fromkeys(("validation", "valid", "val", "dev", "development", "publictest"), VALIDATION),
    **dict.fromkeys(
        ("privatetest", "test", "testing", "tst", "eval", "evaluation", "holdout", "hold-out", "t10k"), TEST
    ),
}
# Names of columns that may hold the part of each row; their cells decide.
_COLUMN = re.compile(r"(?i)(data[ _-]?)?(split|set|subset|partition|fold|part|usage|phase)([ _-]?(name|type|id))?")
_FLAGS = {"train": TRAIN, "training": TRAIN, "valid": VALIDATION, "validation": VALIDATION, "val": VALIDATION,
          "dev": VALIDATION, "test": TEST, "testing": TEST, "holdout": TEST}  # fmt: skip
_FLAG = re.compile(r"(?i)is[ _-]?([a-z]+)")
_NOUN = re.compile(r"[ _-]?(set|split|data|part|rows?)$")
_PIECE = re.compile(r"t10k|[a-z]+")
_FIRST = 8  # cells that rule out most columns before all of them are looked at
_SPELLINGS = 20  # the most distinct spellings of parts in one column, such as Train and train
_YES, _NO = {"true", "yes", "1", "1.0"}, {"false", "no", "0", "0.0"}


def part_of(text: object) -> int | None:
    """Return the part that a text names, such as Test or training set; None if it names none."""
    plain = str(text).strip().lower()
    return WORDS.get(plain, WORDS.get(_NOUN.sub("", plain)))


def part_in(name: str) -> int | None:
    """Return the part in the name of a file or folder, such as train2017 or x_test; None without a single one."""
    exact = part_of(name)
    parts = {WORDS[piece] for piece in _PIECE.findall(name.lower()) if piece in WORDS}
    # A name with two parts, such as train_test, is ambiguous
    return exact if exact is not None else parts.pop() if len(parts) == 1 else None


def is_split(parts: Iterable[int | None]) -> bool:
    """Return whether no part is None, and training is one of at least two."""
    distinct = set(parts)
    return None not in distinct and len(distinct) > 1 and TRAIN in distinct


# ---------------------------------------------------------------- columns


def names_parts(values: pd.Series) -> bool:
    """Return whether the cells of a column name parts: training and at least one other."""
    if any(part_of(value) is None for value in _texts(values.head(_FIRST))):
        return False
    texts = _texts(values)
    return len(texts) <= _SPELLINGS and is_split(part_of(value) for value in texts) and bool(texts)


def split_column(table: pd.DataFrame, *, partly: bool = False) -> str | None:
    """Return the column that assigns rows to parts, by its cells, by name and some cells, or as a flag like is_test.

    Args:
        partly: Whether the table is only the beginning of a larger one, in which a single part may occur.
    """
    for name in table.columns:
        if names_parts(_inference_values(table, name)):
            return str(name)
    for name in table.columns:
        if _FLAG.fullmatch(str(name).strip()) and _flag(str(name)) is not None and _is_flag(table[name], partly):
            return str(name)
        if not _COLUMN.fullmatch(str(name).strip()):
            continue
        texts = _texts(_inference_values(table, name))
        parts = {part_of(value) for value in texts} if 0 < len(texts) <= _SPELLINGS else set()
        # Its other cells cause an error when they are read; they are never silently assigned to a part.
        if TRAIN in parts and (len(parts - {None}) > 1 or partly):
            return str(name)
    return None


def given_of(values: pd.Series, name: str) -> np.ndarray:
    """Return the part of each row (R,); `NO_PART` where a cell is empty.

    Raises:
        DataError: A cell does not name a part.
    """
    import pandas as pd

    codes, distinct = pd.factorize(values)
    flag = _flag(name)
    parts: list[int] = []
    for value in pd.Index(distinct).tolist():
        plain = str(value).strip().lower()
        if flag is not None and plain in _YES | _NO:
            # The rows that is_train denies are the test; those that is_test or is_val denies are training
            part: int | None = flag if plain in _YES else TEST if flag == TRAIN else TRAIN
        else:
            part = part_of(value)
        if part is None:
            raise DataError(
                f"The column {name!r} has the value {str(value)[:60]!r}; expected train, validation or test. Correct "
                "these cells, or choose no split column."
            )
        parts.append(part)
    # `factorize` codes empty cells as -1, which indexes the last entry
    return np.array([*parts, NO_PART], dtype=np.int64)[codes]


def _inference_values(table: Any, name: Any) -> pd.Series:
    """Return a column; no rows of a numeric column in a file, whose type rules out names of parts."""
    column: pd.Series = table.for_inference(name) if hasattr(table, "for_inference") else table[name]
    return column


def _texts(values: pd.Series) -> list[str]:
    """Distinct cells of a text column, at most one more than `_SPELLINGS`; [] for other columns."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(values) and values.dtype.name != "category":
        return []
    return [str(value) for value in values.dropna().unique()[: _SPELLINGS + 1]]


def _flag(name: str) -> int | None:
    match = _FLAG.fullmatch(name.strip())
    return _FLAGS.get(match[1].lower()) if match else None


def _is_flag(values: pd.Series, partly: bool) -> bool:
    cells = {str(value).strip().lower() for value in values.dropna().unique()[:_SPELLINGS]}
    return cells <= _YES | _NO and bool(cells) and (partly or (bool(cells & _YES) and bool(cells & _NO)))


# ---------------------------------------------------------------- files and folders


@dataclass(frozen=True)
class FileParts:
    """The part of each file; empty if the files are not a split.

    Attributes:
        level: For each file, the index in its path of the folder that names the part; −1 for the file name.
    """

    parts: Mapping[str, int] = field(default_factory=dict)
    level: Mapping[str, int] = field(default_factory=dict)

    def of(self, names: Sequence[str]) -> np.ndarray | None:
        """Return the part of each of these files (R,); None if the files are not a split."""
        return np.array([self.parts.get(name, NO_PART) for name in names]) if self.parts else None

    def remainder(self, name: str) -> tuple[str, ...]:
        """Return the folders and the stem of a file, without the name of the part."""
        path = path_of(name)
        stem = PurePosixPath(path[-1]).stem
        level = self.level.get(name)
        if level is None:
            return (*path[:-1], stem)
        if level >= 0:
            return (*path[:level], *path[level + 1 : -1], stem)
        return (*path[:-1], _remainder(stem))


@lru_cache(maxsize=2**18)
def path_of(name: str) -> tuple[str, ...]:
    """Return the folders and the name of a file."""
    return PurePosixPath(name.replace("\\", "/")).parts or ("",)


def file_parts(names: Sequence[str]) -> FileParts:
    """Return the part of each file, by a folder such as train/, or else by its name, such as x_test.csv.

    Raises:
        DataError: Some files are in a part, and others are not.
    """
    paths = {name: path_of(name) for name in names}
    for level in range(min((len(path) - 1 for path in paths.values()), default=0)):
        parts_by_name = {name: part_in(path[level]) for name, path in paths.items()}
        if is_split(parts_by_name.values()) and _match_training(
            {name: path[level] for name, path in paths.items()}, parts_by_name
        ):
            # `is_split` has ruled out None; the defaults in `part or 0` only satisfy the type checker
            return FileParts(
                {name: int(part or 0) for name, part in parts_by_name.items()}, dict.fromkeys(names, level)
            )
    stems = {name: PurePosixPath(path[-1]).stem for name, path in paths.items()}
    parts_by_name = {name: part_in(stem) for name, stem in stems.items()}
    if is_split(parts_by_name.values()) and _match_training(stems, parts_by_name):
        return FileParts({name: int(part or 0) for name, part in parts_by_name.items()}, dict.fromkeys(names, -1))
    levels = {name: _level(path) for name, path in paths.items()}
    folder_parts = {name: part_of(paths[name][level]) for name, level in levels.items() if level is not None}
    if folder_parts and is_split(folder_parts.values()):
        _refuse_other_files([name for name in names if name not in folder_parts], len(names))
        parts = {name: int(part or 0) for name, part in folder_parts.items()}
        return FileParts(parts, {name: int(level or 0) for name, level in levels.items()})
    exact_parts = {name: part_of(stem) for name, stem in stems.items() if part_of(stem) is not None}
    if exact_parts and is_split(exact_parts.values()):
        _refuse_other_files([name for name in names if name not in exact_parts], len(names))
    return FileParts()


def _level(path: Sequence[str]) -> int | None:
    """Return the index of the first folder of a path that names a part."""
    return next((level for level, folder in enumerate(path[:-1]) if part_of(folder) is not None), None)


def _remainder(stem: str) -> str:
    """Return the stem of a file without the word that names its part, and without the punctuation around it."""
    pieces = [piece for piece in re.split(r"[^A-Za-z0-9]+", stem) if piece and part_in(piece) is None]
    return "_".join(pieces)


def _match_training(names: Mapping[str, str], parts: Mapping[str, int | None]) -> bool:
    """Return whether each part has a name that training also has, but for the word of the part.

    train_x and test_x do; the classes train_station and test_tube do not, and are not a split.
    """
    remainders: dict[int, set[str]] = {}
    for name, part in parts.items():
        letters = "".join(re.findall(r"[a-z]+", _remainder(names[name]).lower()))
        remainders.setdefault(int(part or 0), set()).add("" if part_of(names[name]) is not None else letters)
    return all(remainders[TRAIN] & other_remainder for other_remainder in remainders.values())


def _refuse_other_files(unmatched: Sequence[str], count: int) -> None:
    if unmatched:
        raise DataError(
            f"{len(unmatched):,} of {count:,} files, such as {unmatched[0][:80]!r}, are in no part of the split, while "
            "others are named train and test (or validation); put each file into one part, or rename the others."
        )


def refuse_as_classes(classes: Iterable[str], noun: str) -> None:
    """Refuse to read the parts of a split as classes.

    Raises:
        DataError: The classes are the parts of a split.
    """
    distinct = sorted(set(classes))
    parts = [part_of(name) for name in distinct]
    if len(distinct) > 1 and is_split(parts):
        raise DataError(
            f"{', '.join(map(repr, distinct))} are the parts of a split, not classes. Add the class of each {noun}: "
            f"by a folder within each part, such as {distinct[-1]}/yes and {distinct[-1]}/no, or in a table."
        )
