"""Where the classes of sounds are: in their folders, their names, or a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from netloom.data.splits.given_splits import FileParts, is_split, part_of
from netloom.data.tables.target_guess import possible_targets
from netloom.data.uploads.filetables import naming_table, stated_parts
from netloom.data.uploads.source import Source
from netloom.data.uploads.upload_kind import Answers

FOLDER, NAME, PART_OF_NAME, TABLE = "the folder", "the beginning of the name", "a part of the name", "a table"
FEWEST_PARTS = 3
_PERSON = re.compile(r"(?i)(actor|speaker|spk|subject|person|participant|user)[ _-]?\d+")  # says who, not what
_MARKS = re.compile(r"[_\-. ]+")


def label_sources(source: Source, names: list[str]) -> list[str]:
    """Return the possible sources of the classes, the most likely first."""
    naming = naming_table(source, names)
    labels = [] if naming is None else naming.labels(*naming.columns[:1])
    possible_sources = [TABLE] if naming is not None and labels and possible_targets(naming.table[labels]) else []
    parts = stated_parts(source, names)
    by_folder, by_name = (classes_of(parts, names, label_source) for label_source in (FOLDER, NAME))
    possible_sources += [one for one, classes in ((FOLDER, by_folder), (NAME, by_name)) if _are_classes(classes)]
    if possible := possible_parts(names):
        possible_sources += [PART_OF_NAME] if possible != [1] else []
        if FOLDER in possible_sources and all(map(_PERSON.fullmatch, by_folder)):
            possible_sources.remove(FOLDER)
            possible_sources.append(FOLDER)
    return possible_sources


def possible_parts(names: list[str]) -> list[int]:
    """Return the places of the parts of all names that can be classes, from 1; [] for names such as test_1.wav, whose
    parts are a word and a number."""
    columns = list(zip(*map(_name_parts, names), strict=False))  # as many as the shortest name has parts
    if len(columns) < FEWEST_PARTS:
        return []
    return [part for part, column in enumerate(columns, 1) if _are_classes(column)]


def _are_classes(found: Sequence[str]) -> bool:
    """Return whether labels of sounds can be classes: none is empty, and there are few, which are not split parts."""
    classes = {*found}
    return "" not in classes and 1 < len(classes) <= max(2, len(found) // 2) and not is_split(map(part_of, classes))


def _name_parts(name: str) -> list[str]:
    return [part[:100] for part in _MARKS.split(PurePosixPath(name).stem) if part]


def label_of(answers: Answers) -> tuple[str, int]:
    """Return the source of the classes, and which part of the name they are."""
    part = answers.get("part")
    return str(answers.get("label")), part if isinstance(part, int) else 1


def classes_of(parts: FileParts, names: list[str], label_source: str, part: int = 1) -> list[str]:
    """Return the class of each sound, "" without one; from its path without the part of the split, or from the `part`
    of its name."""
    if label_source == PART_OF_NAME:
        return [next(iter(_name_parts(name)[part - 1 :]), "") for name in names]
    classes = []
    for name in names:
        *folders, stem = parts.remainder(name)
        if label_source == FOLDER:
            classes.append(folders[-1][:100] if folders else "")
        else:
            begin, *rest = _MARKS.split(stem, maxsplit=1)
            classes.append(begin[:100] if rest else "")
    return classes
