"""Where the classes of sounds are: in their folders, their names, or a table."""

from __future__ import annotations

import re

from netloom.data.splits.given_splits import FileParts
from netloom.data.tables.target_guess import possible_targets
from netloom.data.uploads.file_labels.filetables import naming_table, stated_parts
from netloom.data.uploads.file_labels.name_parts import MARKS, are_classes, name_parts, possible_parts
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.upload_kind import Answers

FOLDER, NAME, PART_OF_NAME, TABLE = "the folder", "the beginning of the name", "a part of the name", "a table"
_PERSON = re.compile(r"(?i)(actor|speaker|spk|subject|person|participant|user)[ _-]?\d+")  # says who, not what


def label_sources(source: Source, names: list[str]) -> list[str]:
    """Return the possible sources of the classes, the most likely first."""
    naming = naming_table(source, names)
    labels = [] if naming is None else naming.labels(*naming.columns[:1])
    possible_sources = [TABLE] if naming is not None and labels and possible_targets(naming.table[labels]) else []
    parts = stated_parts(source, names)
    by_folder, by_name = (classes_of(parts, names, label_source) for label_source in (FOLDER, NAME))
    possible_sources += [one for one, classes in ((FOLDER, by_folder), (NAME, by_name)) if are_classes(classes)]
    if possible := possible_parts(names):
        possible_sources += [PART_OF_NAME] if possible != [1] else []
        if FOLDER in possible_sources and all(map(_PERSON.fullmatch, by_folder)):
            possible_sources.remove(FOLDER)
            possible_sources.append(FOLDER)
    return possible_sources


def label_of(answers: Answers) -> tuple[str, int]:
    """Return the source of the classes, and which part of the name they are."""
    part = answers.get("part")
    return str(answers.get("label")), part if isinstance(part, int) else 1


def classes_of(parts: FileParts, names: list[str], label_source: str, part: int = 1) -> list[str]:
    """Return the class of each sound, "" without one; from its path without the part of the split, or from the `part`
    of its name."""
    if label_source == PART_OF_NAME:
        return [next(iter(name_parts(name)[part - 1 :]), "") for name in names]
    classes = []
    for name in names:
        *folders, stem = parts.remainder(name)
        if label_source == FOLDER:
            classes.append(folders[-1][:100] if folders else "")
        else:
            begin, *rest = MARKS.split(stem, maxsplit=1)
            classes.append(begin[:100] if rest else "")
    return classes
