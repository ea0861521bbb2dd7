"""What a document says of fields and columns, brought to data that was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.limits import MAX_CELLS
from netloom.data.multi_field import Categories, Several
from netloom.data.preparation.column_settings import ColumnChoice, FieldChoice, column_choices
from netloom.data.preparation.label_merging import Aliases, aliases_of
from netloom.data.preparation.spectrogram import log_mel_of
from netloom.data.raw_dataset import Characters, Images, RawDataset, Series, Table, TaggedTexts, Texts
from netloom.data.sequence_pairs import Pairs
from netloom.data.targets import target_of
from netloom.modalities.columns.category import Category
from netloom.modalities.columns.registry import column_kind
from netloom.modalities.encoding.image_field import sized

# Which settings of a field a kind of data takes.
_TEXT = {"tokens", "vocabulary", "length", "lower"}
_SOUND = {"sound", "window", "hop", "bands", "low", "high"}


def with_fields(raw: RawDataset, choices: Mapping[str, FieldChoice]) -> RawDataset:
    """The data, its fields preprocessed as a document says.

    Raises:
        DataError: there is no such field, or it takes no such setting.
    """
    parts = raw.parts if isinstance(raw, Several) else (raw,)
    names = [part.name for part in parts]
    for name in choices:
        if name not in names:
            listed = ", ".join(repr(one[:40]) for one in names)
            raise DataError(f"There is no field {name[:80]!r} to set anything for; the data has {listed}.")
    found = tuple(_with(part, choices[part.name].plain()) if part.name in choices else part for part in parts)
    return replace(raw, parts=found) if isinstance(raw, Several) else found[0]


def _with(part: RawDataset, settings: dict[str, Any]) -> RawDataset:
    known = taken(part)
    for setting in sorted(set(settings) - known):
        takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
        raise DataError(f"The field {part.name[:80]!r} takes no {setting!r}; {takes}.")
    if isinstance(part, Images):
        part = _resized(part, settings)
    if isinstance(part, Series) and settings.get("sound") == "log-mel":
        log_mel_of(part.name, part.windows.shape, part.rate, settings)  # refuses now what would be later
    return replace(part, settings={**part.settings, **settings})


def _resized(part: Images, settings: Mapping[str, Any]) -> Images:
    """Pictures in the size, and with the channels, that a document asks for."""
    channels, height, width = part.pixels.shape[1:]
    side, grey = settings.get("size"), settings.get("grey")
    wanted = (1 if grey else channels, side or height, side or width)
    if grey is None and side is None:
        return part
    if part.masks is not None or part.target_type.is_per_pixel:
        raise DataError(f"The masks of {part.name[:80]!r} belong to its pictures as they are; keep size and colours.")
    if len(part) * int(np.prod(wanted)) > MAX_CELLS:
        raise DataError(
            f"{len(part):,} pictures of {wanted[1]} × {wanted[2]} pixels are too many; choose a smaller size."
        )
    pixels = np.stack([sized(np.asarray(one, dtype=np.float32), *wanted) for one in part.pixels])
    return replace(part, pixels=pixels, resized=True)


def taken(part: RawDataset) -> set[str]:
    """Which settings a field of this data takes."""
    if isinstance(part, Images):
        return {"normalise", "size", "grey"}
    if isinstance(part, Series):
        return {"scale", *_SOUND} if part.rate else {"scale"}
    # Tags belong to words, and an answer is written letter by letter.
    if isinstance(part, Texts) and not isinstance(part, (TaggedTexts, Pairs, Characters)):
        return _TEXT
    return set()


def with_columns(raw: RawDataset, value: Any) -> RawDataset:
    """Data of settled columns, those of its tables preprocessed as a document says, or left out; and the labels of its
    target as what they stand for.

    Raises:
        DataError: there is no such column, or it takes no such setting.
    """
    value, aliases = _without_target(raw, value)
    raw = target_of(raw.target_kind).merged(raw, aliases)
    if value == {} and aliases:
        return raw
    parts = raw.parts if isinstance(raw, Several) else (raw,)
    names = [name for part in parts for name in _columns(part)]
    choices = column_choices(value, names)
    found = tuple(_with_columns(part, choices) if _columns(part) else part for part in parts)
    kept = tuple(part for part in found if _columns(part) or not isinstance(part, (Table, Categories)))
    if not kept:
        raise DataError("Every column is ignored, so there is nothing to learn from; keep one of them.")
    return replace(raw, parts=kept) if isinstance(raw, Several) else kept[0]


def _without_target(raw: RawDataset, value: Any) -> tuple[Any, dict[str, Aliases]]:
    """What is said of columns but for the target, and the aliases of the target's labels."""
    named = {raw.target_name, *(part.name for part in raw.target_parts)}
    parts = raw.parts if isinstance(raw, Several) else (raw,)
    named -= {name for part in parts for name in _columns(part)}
    if not isinstance(value, dict) or not named & set(value):
        return value, {}
    said = column_choices({name: one for name, one in value.items() if name in named}, sorted(named))
    for name, choice in said.items():
        if set(choice.plain()) - {"aliases"}:
            raise DataError(f"The target {name[:80]!r} of this data takes 'aliases' alone.")
    return {name: one for name, one in value.items() if name not in named}, aliases_of(said)


def _columns(part: RawDataset) -> dict[str, str]:
    """The kind of each column."""
    if type(part) is Table:  # those that are made from it settle for themselves how they are prepared
        return {name: part.kind_of(name) for name in (*part.numbers, *part.categories)}
    return dict.fromkeys(part.columns, Category.name) if isinstance(part, Categories) else {}


def _with_columns(part: RawDataset, choices: Mapping[str, ColumnChoice]) -> RawDataset:
    kinds = _columns(part)
    for name, kind in kinds.items():
        choice = choices.get(name, ColumnChoice())
        if choice.kind not in (None, kind) or choice.role not in (None, "input", "ignore"):
            raise DataError(
                f"The column {name[:80]!r} of this data is a {kind} that is learned from or ignored, and nothing else."
            )
        column_kind(kind).refuse(name, choice.settings)
        if choice.get("encode") is not None:
            raise DataError(f"How the categories in {name[:80]!r} are encoded is settled in this data.")
    ignored = {name for name in kinds if name in choices and choices[name].role == "ignore"}
    settings = {name: dict(choices[name].settings) for name in kinds if name in choices}
    if isinstance(part, Table):
        return replace(
            part,
            numbers={name: values for name, values in part.numbers.items() if name not in ignored},
            categories={name: values for name, values in part.categories.items() if name not in ignored},
            settings={**part.settings, **settings},
        )
    if isinstance(part, Categories):
        columns = {name: values for name, values in part.columns.items() if name not in ignored}
        return replace(part, columns=columns, settings={**part.settings, **settings})
    return part
