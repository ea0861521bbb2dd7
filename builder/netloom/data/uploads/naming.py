"""What to call several files that were brought together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from netloom.data.splits.given_splits import WORDS

# What says of which part of the split or of which form a file is, and nothing of what it is about.
_SAYS_NOTHING = re.compile(r"(?i)idx\d|ubyte|gz|npy|npz|csv|tsv|txt|png|jpe?g|wav|conll|parquet|jsonl?|t10k|\d+")
MOST = 3


def called(names: Sequence[str], folder: str = "") -> str:
    """What the names of the files begin with, as emnist-letters of emnist-letters-train-images and -labels; else the
    folder that they lie in; else what tells them apart, as images and labels of MNIST's four files."""
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
    """The whole words that names begin with; none that merely names a part of the split."""
    found = re.match(r"(.*\w)[-_. ]+", common)
    return found[1] if found and _words(found[1]) else ""


def _words(stem: str) -> list[str]:
    found = [word for word in re.split(r"[-_. ]+", stem) if word]
    return [word for word in found if word.lower() not in WORDS and not _SAYS_NOTHING.fullmatch(word)]
