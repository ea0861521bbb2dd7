"""Labels that mean the same in several spellings: `aliases` name the label that each other stands for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from netloom.data.raw_dataset import Raw, TaggedTexts
from netloom.data.schema import DataError

Aliases = Mapping[str, str]
AnyRaw = TypeVar("AnyRaw", bound=Raw)
_BETWEEN = re.compile(r"(?<=[^\W_])[-_]+(?=[^\W_])")
_PUNCTUATION = " \t.,;:!?…'\"`´’"


def normal(label: str) -> str:
    """A label without what people write in several ways: case, marks between words, and punctuation behind it."""
    words = _BETWEEN.sub(" ", unicodedata.normalize("NFKC", label).casefold()).split()
    return " ".join(words).rstrip(_PUNCTUATION)


def meant(label: str, aliases: Aliases) -> str:
    """The label that one stands for, by way of others, too."""
    for _ in aliases:
        if label not in aliases:
            break
        label = aliases[label]
    return label


def merged(names: Sequence[str], aliases: Aliases) -> tuple[tuple[str, ...], np.ndarray]:
    """The labels that are left, in their order, and the place of each of the old ones among them."""
    stand_for = [meant(name, aliases) for name in names]
    left = [name for name in names if name in set(stand_for)]
    left += [name for name in dict.fromkeys(stand_for) if name not in left]
    return tuple(left), np.array([left.index(name) for name in stand_for], dtype=np.int64)


def with_aliases(raw: AnyRaw, aliases: Mapping[str, Aliases]) -> AnyRaw:
    """The data, each label of its targets taken as the one that it stands for. `aliases` are by the target's name.

    Raises:
        DataError: nothing but one label would be left, or the target has no labels.
    """
    if raw.target_kind == "several":
        return _with_several(raw, aliases)
    own = aliases.get(raw.target_name)
    if not own:
        return raw
    if raw.target_kind not in ("class", "labels", "tags"):
        raise DataError(f"{raw.target_name[:80]!r} has no labels to treat as the same; take 'aliases' away.")
    classes, place = merged(raw.classes, own)
    if len(classes) < 2:
        raise DataError(f"All labels of {raw.target_name[:80]!r} would be the same, so nothing is left to predict.")
    if isinstance(raw, TaggedTexts):
        tags = [[meant(tag, own) for tag in line] for line in raw.tags]
        return replace(raw, tags=tags, tag_names=classes, classes=classes)
    if raw.target_kind == "labels":
        target = np.zeros((len(raw), len(classes)), dtype=raw.target.dtype)
        for old, new in enumerate(place.tolist()):
            np.maximum(target[:, new], raw.target[:, old], out=target[:, new])
        return replace(raw, target=target, classes=classes)
    return replace(raw, target=place[raw.target], classes=classes)


def _with_several(raw: AnyRaw, aliases: Mapping[str, Aliases]) -> AnyRaw:
    target, parts = raw.target.copy(), list(raw.target_parts)
    for column, part in enumerate(parts):
        own = aliases.get(part.name)
        if own and part.kind == "class":
            classes, place = merged(part.classes, own)
            target[:, column] = place[target[:, column].astype(np.int64)]
            parts[column] = replace(part, classes=classes)
    return replace(raw, target=target, target_parts=tuple(parts))


def aliases_of(settings: Mapping[str, Any]) -> dict[str, Aliases]:
    """The aliases in what a document says of columns, by the column's name."""
    found = {}
    for name, said in settings.items():
        own = said.get("aliases") if isinstance(said, Mapping) else getattr(said, "aliases", None)
        if own:
            found[name] = own
    return found
