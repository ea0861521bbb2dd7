"""Merges labels that are spellings of one another: `aliases` map a label to the one that replaces it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.modalities.encoding.category_column import resolve_alias

Aliases = Mapping[str, str]
# Only between letters or digits, so that -1 and 1 stay different labels
_BETWEEN = re.compile(r"(?<=[^\W_])[-_]+(?=[^\W_])")
_PUNCTUATION = " \t.,;:!?…'\"`´’"


def normal(label: str) -> str:
    """Return a label without differences of spelling: case, separators between words, and punctuation at its end."""
    words = _BETWEEN.sub(" ", unicodedata.normalize("NFKC", label).casefold()).split()
    return " ".join(words).rstrip(_PUNCTUATION)


def spelling_notes(classes: Iterable[str]) -> list[str]:
    """Return a note on classes of folders and files whose names are spellings of one another."""
    spellings: dict[str, list[str]] = {}
    for name in sorted(set(classes)):
        spellings.setdefault(normal(name), []).append(name)
    similar = [names for names in spellings.values() if len(names) > 1]
    if not similar:
        return []
    # With escapes, as letters of one or of two characters look the same
    shown = [", ".join(repr(name[:60]) if name.isascii() else ascii(name[:60]) for name in names) for names in similar]
    listed = "; ".join(shown[:4]) + ("; …" if len(shown) > 4 else "")
    return [
        f"These classes are different, although their names differ only in case, spaces, punctuation or the Unicode "
        f"form of a letter: {listed}. If they mean the same, give them one name, and add the files again."
    ]


def merge(names: Sequence[str], aliases: Aliases) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the remaining labels in order, and the index of each old label among them."""
    stand_for = [resolve_alias(name, aliases) for name in names]
    remaining = [name for name in names if name in set(stand_for)]
    remaining += [name for name in dict.fromkeys(stand_for) if name not in remaining]
    return tuple(remaining), np.array([remaining.index(name) for name in stand_for], dtype=np.int64)


def merged_classes(names: Sequence[str], aliases: Aliases, target: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Merge the labels of a target, as `merge`.

    Raises:
        DataError: only one label would remain.
    """
    classes, merged_indices = merge(names, aliases)
    if len(classes) < 2:
        raise DataError(f"All labels of {target[:80]!r} would be the same, so nothing is left to predict.")
    return classes, merged_indices


def aliases_of(settings: Mapping[str, Any]) -> dict[str, Aliases]:
    """Return the aliases in the column settings of a document, by column."""
    aliases = {}
    for name, choice in settings.items():
        merged = choice.get("aliases")
        if merged:
            aliases[name] = merged
    return aliases
