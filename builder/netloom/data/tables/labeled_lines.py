"""Texts with their labels in front: a line is `label text`, as in TREC, or `__label__name text`, as in fastText."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from netloom.data.dialect import has_separator, has_separator_outside_quotes

if TYPE_CHECKING:
    import pandas as pd

FAST_TEXT = "__label__"
SAMPLE_LINES = 2_000
FEWEST_LINES, FEWEST_ROWS_PER_LABEL, MAX_LABELS = 10, 3, 1_000
# Of the words of a text, and of lines in which a label is also a word of the text. The words that begin the lines of a
# plain text, such as the and I, are also within them; labels are not.
FEWEST_WORDS, MAX_WITHIN = 2.5, 0.1
_LABEL = re.compile(r"[^\s\"'(\[{]*[^\W_][^\s\"']*")


def labeled_lines(text: str, _filename: str) -> pd.DataFrame | None:
    """Return a table with the columns `label` and `text`; None if the lines do not begin with labels.

    Several labels of a line are separated by semicolons. Lines without a text are left out.
    """
    import pandas as pd

    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not is_labeled(text, lines):
        return None
    rows = [_fast_text(words) if words[0].startswith(FAST_TEXT) else (words[0], words[1:]) for words in lines]
    labeled = [(label.rstrip(":") or label, " ".join(words)) for label, words in rows if words]
    return pd.DataFrame(labeled, columns=["label", "text"])


def is_labeled(text: str, lines: list[list[str]]) -> bool:
    """Return whether most lines of a text, given as their words, begin with a label."""
    some = lines[:: max(1, len(lines) // SAMPLE_LINES)]
    if len(some) < FEWEST_LINES or has_separator(text, "\t"):
        return False
    if all(words[0].startswith(FAST_TEXT) for words in some):
        return True
    separated = has_separator(text, ",;|") or has_separator_outside_quotes(text, ",;|")
    if separated or sum(len(words) < 2 for words in some) > len(some) / 20:
        return False
    labels = Counter(words[0] for words in some)
    if not 2 <= len(labels) <= min(MAX_LABELS, len(some) // FEWEST_ROWS_PER_LABEL):
        return False
    within = sum(not labels.keys().isdisjoint(words[1:]) for words in some)
    words_per_text = sum(len(words) - 1 for words in some) / len(some)
    return (
        all(map(_LABEL.fullmatch, labels))
        and words_per_text >= FEWEST_WORDS
        and within <= MAX_WITHIN * len(some)
        and not all(map(_is_number, (word for words in some for word in words[1:])))
    )


def _fast_text(words: list[str]) -> tuple[str, list[str]]:
    """Return the labels and the words of a line in the format of fastText."""
    labels = [word.removeprefix(FAST_TEXT) for word in words if word.startswith(FAST_TEXT)]
    return ";".join(labels), [word for word in words if not word.startswith(FAST_TEXT)]


def _is_number(word: str) -> bool:
    return not word.strip("+-.,0123456789eE")
