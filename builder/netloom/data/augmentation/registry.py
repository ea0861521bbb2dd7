"""All augmentations by name, and those of a document."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from netloom.core.errors import DataError
from netloom.core.field_errors import field_errors, summary
from netloom.core.registry import discover
from netloom.data.augmentation.augmentation import Augmentation, Facts
from netloom.data.schema import Schema
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.field_spec import FieldSpec

if TYPE_CHECKING:
    from netloom.document import Augment


@cache
def augmentations() -> dict[str, type[Augmentation]]:
    """Return all augmentations, those of images first. A new file in this package registers its classes."""
    kinds = ("image", "sequence", "tokens", "vector")
    return discover(Augmentation, "netloom.data.augmentation", order=lambda kind: kinds.index(kind.kinds[0]))


def parsed(declared: Augment) -> Augmentation:
    """Return the augmentation that a document declares.

    Raises:
        DataError: there is no such augmentation, or a parameter is unknown or out of range.
    """
    kind = augmentations().get(declared.kind)
    if kind is None:
        raise DataError(f"There is no augmentation {declared.kind!r}; choose one of {', '.join(augmentations())}.")
    try:
        return kind.model_validate_json(json.dumps(declared.params))
    except ValidationError as error:
        raise DataError(f"{kind.title}: {summary(field_errors(error, kind, 'parameter', kind.title))}") from None


def unsuitable_reason(declared: Augment, schema: Schema, fields: list[str] | None = None) -> str:
    """Return why an augmentation does not match the data, in a sentence, or "". `fields` are those that the network
    reads.

    Raises:
        DataError: its declaration is invalid.
    """
    augmentation = parsed(declared)
    read = [field for field in schema.inputs if fields is None or field.name in fields]
    if declared.field and all(field.name != declared.field for field in read):
        return f"{augmentation.title} is meant for the field {declared.field!r}, which the network does not read."
    candidates = [field for field in read if declared.field in ("", field.name)]
    suited = [field for field in candidates if augmentation.changes(field)]
    kinds = "color images" if augmentation.channels else " or ".join(_KINDS[kind] for kind in augmentation.kinds)
    if not suited:
        return f"{augmentation.title} is for {kinds}, and the network reads none."
    if schema.target.kind in augmentation.spoils:
        return f"{augmentation.title} {augmentation.spoiled}; remove it."
    if _mixes(augmentation) and len(suited) < len(read):
        return f"{augmentation.title} blends whole examples, so every field has to be {kinds}; remove it."
    return ""


_KINDS = {"image": "images", "sequence": "series", "tokens": "texts", "vector": "tables"}


def _mixes(augmentation: Augmentation) -> bool:
    from netloom.data.augmentation.mixing import Mixing

    return isinstance(augmentation, Mixing)


def suited(field: FieldSpec, encoder: FieldEncoder[Any]) -> list[type[Augmentation]]:
    """Return the augmentations that can change a field."""
    facts = Facts(field, encoder)
    return [kind for kind in augmentations().values() if kind().suits(facts)]
