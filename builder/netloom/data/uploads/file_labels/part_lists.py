"""Text files with the names of the files of a part of the split, such as train.txt and test.txt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

from netloom.data import file_types
from netloom.data.splits.given_splits import TRAIN, is_split, part_of, path_of
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.files.source import Source

_TRAINING_AND_VALIDATION = ("trainval", "train_val", "train-val")
_LIST = re.compile(r"(?i)[ _-]?(lists?|files?|file[ _-]?names|images?|ids|names)$")


def lists_of_parts(source: Source) -> dict[str, int]:
    """Return the text files that are named after a part of a split, such as train.txt or testing_list.txt, with this
    part.

    trainval.txt, which Pascal VOC has for both, comes first: a later list of validation files takes them from training.
    """
    stems = {name: PurePosixPath(path_of(name)[-1]).stem for name in source.members.of(file_types.TEXT)}
    both = {name: TRAIN for name, stem in stems.items() if stem.lower() in _TRAINING_AND_VALIDATION}
    named = {name: part for name, stem in stems.items() if (part := part_of(_LIST.sub("", stem))) is not None}
    return both | named


def parts_of_lists(
    source: Source, lists: Mapping[str, int], find: Callable[[str, str], str | None], others: Sequence[str] = ()
) -> dict[str, int]:
    """Return the part of each file in lists with a name per line; {} if the lists are not those of a split.

    Args:
        find: Returns the file of the first word in a line of a list, or None.
        others: The files that are training if no list names these, as in Speech Commands.
    """
    are_whole = is_split(lists.values())
    if not lists or (TRAIN in lists.values() and not are_whole) or not (are_whole or others):
        return {}
    part_of_file: dict[str, int] = {} if are_whole else dict.fromkeys(others, TRAIN)
    for name, part in lists.items():
        text, _ = decode_text(source.members.read(name), name)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        # A name may have blanks, or be followed by a label
        listed_files = [find(line, name) or find(line.split()[0], name) for line in lines]
        if sum(file is not None for file in listed_files) < len(lines) / 2:
            return {}
        part_of_file |= {file: int(part) for file in listed_files if file is not None}
    return part_of_file if is_split(part_of_file.values()) else {}
