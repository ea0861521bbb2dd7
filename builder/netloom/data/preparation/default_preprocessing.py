"""What a document has done to all numbers and pixels for which nothing is set by column or by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from netloom.core.errors import DataError
from netloom.data.environment import Episodes
from netloom.data.multi_field import Several
from netloom.data.raw_dataset import Images, RawDataset, Series, Table
from netloom.data.schema import Schema
from netloom.document import Moments, Preparation

# What people choose from; `told` says what it does.
PREPARATIONS: Mapping[Preparation, str] = {
    "standardize": "Standardize",
    "scale": "Scale to 0 to 1",
    "none": "As they are in the data",
}
IMPORTED = "As the imported network asks"
_SCALES = {"standardize": "standard", "scale": "minmax", "none": "none"}
_PIXELS = {"scale": "unit", "none": "none"}


def with_preparation(raw: RawDataset, prepare: Preparation | Moments) -> RawDataset:
    """The data with this preparation wherever its own settings say nothing else.

    Raises:
        DataError: it does not fit the data.
    """
    if prepare == "standardize":
        return raw
    if isinstance(raw, Several):
        return replace(raw, parts=tuple(_with(part, prepare) for part in raw.parts))
    return _with(raw, prepare)


def _with(part: RawDataset, prepare: Preparation | Moments) -> RawDataset:
    if isinstance(part, Images):
        return replace(part, settings={"normalise": _pixels(part, prepare), **part.settings})
    scale = scale_of(prepare)
    if isinstance(part, Episodes):
        if scale != "none":
            raise DataError("An environment declares the scales of what is seen in it; choose 'standardize' or 'none'.")
        return replace(part, settings={"scale": scale, **part.settings})
    if isinstance(part, Series):
        return replace(part, settings={"scale": scale, **part.settings})
    if type(part) is Table:
        columns = {part.dates.get(name, (name, ""))[0] for name in part.numbers}
        own = {name: {"scale": scale, **part.settings.get(name, {})} for name in columns}
        return replace(part, settings={**part.settings, **own})
    return part


def scale_of(prepare: Preparation | Moments) -> str:
    """How a column of numbers is scaled of which nothing else is said."""
    return _SCALES[prepare] if isinstance(prepare, str) else "none"


def _pixels(part: Images, prepare: Preparation | Moments) -> Any:
    if isinstance(prepare, str):
        return _PIXELS[prepare]
    channels = part.pixels.shape[1]
    for name, values in (("mean", prepare.mean), ("std", prepare.std)):
        if len(values) not in (1, channels):
            raise DataError(
                f"The preparation has a {name} for each of {len(values)} channels, but the pictures of "
                f"{part.name[:80]!r} have {channels}; choose pictures with as many, or another preparation."
            )
    return prepare.model_dump(mode="json")


def told(prepare: Preparation | Moments, kinds: set[str]) -> str:
    """What a network with inputs of these kinds is given, as a sentence; empty where none of them is prepared."""
    pictures, numbers = bool(kinds & {"image", "volume"}), bool(kinds & {"vector", "sequence", "tensor"})
    if not pictures and not numbers:
        return ""
    what = " and ".join(word for word, there in (("pixels", pictures), ("numbers", numbers)) if there)
    if prepare == "standardize":
        return f"Inputs: {what} are standardized by the training rows (mean 0, deviation 1)."
    if prepare == "none":
        return f"Inputs: {what} are fed as they are in the data."
    own = "pixels are fed from 0 to 1"
    rest = "numbers are scaled to 0 to 1 by the training rows"
    if isinstance(prepare, Moments):
        own = f"pixels × {prepare.rescale:.6g}, less {_list(prepare.mean)}, divided by {_list(prepare.std)}"
        rest = "numbers are fed as they are in the data"
    return f"Inputs: {'; '.join([own] * pictures + [rest] * numbers)}."


def kinds_of(schema: Schema | None) -> set[str]:
    """The kinds of the fields of data."""
    return {field.kind for field in schema.inputs} if schema else set()


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
