"""Labels that mean the same in several spellings: `aliases` name the label that each other stands for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netloom.core.errors import DataError

Aliases = Mapping[str, str]
_BETWEEN = re.compile(r"(?<=[^\W_])[-_]+(?=[^\W_])")
_PUNCTUATION = " \t.,;:!?…'\"`´’"


def normal(label: str) -> str:
    """A label without what people write in several ways: case, marks between words, and punctuation behind it."""
    words = _BETWEEN.sub(" ", unicodedata.normalize("NFKC", label).casefold()).split()
    return " ".join(words).rstrip(_PUNCTUATION)


def resolve_alias(label: str, aliases: Aliases) -> str:
    """The label that one stands for, by way of others, too."""
    for _ in aliases:
        if label not in aliases:
            break
        label = aliases[label]
    return label


def merge(names: Sequence[str], aliases: Aliases) -> tuple[tuple[str, ...], np.ndarray]:
    """The labels that are left, in their order, and the place of each of the old ones among them."""
    stand_for = [resolve_alias(name, aliases) for name in names]
    remaining = [name for name in names if name in set(stand_for)]
    remaining += [name for name in dict.fromkeys(stand_for) if name not in remaining]
    return tuple(remaining), np.array([remaining.index(name) for name in stand_for], dtype=np.int64)


def merged_classes(names: Sequence[str], aliases: Aliases, target: str) -> tuple[tuple[str, ...], np.ndarray]:
    """The same for the labels of a whole target.

    Raises:
        DataError: only one label would be left.
    """
    classes, place = merge(names, aliases)
    if len(classes) < 2:
        raise DataError(f"All labels of {target[:80]!r} would be the same, so nothing is left to predict.")
    return classes, place


def aliases_of(settings: Mapping[str, Any]) -> dict[str, Aliases]:
    """The aliases in what a document says of columns, by the column's name."""
    aliases = {}
    for name, choice in settings.items():
        merged = choice.get("aliases")
        if merged:
            aliases[name] = merged
    return aliases
