"""All modalities; a new module in this package registers its own."""

from __future__ import annotations

from functools import cache
from typing import Any

from netloom.core.registry import discover
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.fields.modality import Modality


@cache
def modalities() -> dict[str, Modality[Any]]:
    """Return all modalities by name, in the order of lists."""
    declared = discover(Modality, "netloom.modalities.fields", order=lambda modality: modality.order)
    return {name: modality() for name, modality in declared.items()}


def modality_of(encoder: FieldEncoder[Any]) -> Modality[Any]:
    """Return the modality of a fitted field."""
    return next(modality for modality in modalities().values() if modality.describes(encoder))
