"""The title of an upload of several files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from netloom.data.splits.given_splits import WORDS

# Words that name a part of a split or a file format, and say nothing about the content.
_SAYS_NOTHING = re.compile(r"(?i)idx\d|ubyte|gz|npy|npz|csv|tsv|txt|png|jpe?g|wav|conll|parquet|jsonl?|t10k|\d+")
MOST = 3


def called(names: Sequence[str], folder: str = "") -> str:
    """Return the common prefix of file names, such as emnist-letters of emnist-letters-train-images and -labels.

    Without one it is the folder, or else the words that distinguish the files, such as "images and labels" of the four
    files of MNIST.
    """
    stems = [re.split(r"[\\/]", name)[-1] for name in names]
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*stems, strict=False))
    common = _trimmed("".join(letters[0] for letters in same))
    if common or folder:
        return common or folder
    plainly = [stem.split(".")[0] for stem in stems]
    words = dict.fromkeys(word for stem in stems for word in _words(stem)) or dict.fromkeys(plainly)
    if 1 <= len(words) <= MOST:
        return " and ".join(", ".join(words).rsplit(", ", 1))
    return f"{plainly[0]} and others"


def _trimmed(common: str) -> str:
    """Return the complete words of a common prefix; "" if they only name a part of a split."""
    match = re.match(r"(.*\w)[-_. ]+", common)
    return match[1] if match and _words(match[1]) else ""


def _words(stem: str) -> list[str]:
    words = [word for word in re.split(r"[-_. ]+", stem) if word]
    return [word for word in words if word.lower() not in WORDS and not _SAYS_NOTHING.fullmatch(word)]
