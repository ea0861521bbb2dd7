"""Counts and ranges, and what is remarkable at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data.multi_field import Several
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.quality.finding import order
from netloom.data.quality.quality_view import Look
from netloom.data.quality.report import AT_ONCE, looked
from netloom.data.raw_dataset import Table
from netloom.modalities.labels import Labels

if TYPE_CHECKING:
    from netloom.document import DataChoice

COUNTED = 1_000_000  # of how many rows, evenly spread, it is counted how many numbers differ


@dataclass(frozen=True)
class Quality:
    """Counts and ranges, and what is remarkable about them, in sentences."""

    rows: int
    splits: dict[str, int]
    classes: dict[str, int] = field(default_factory=dict)
    columns: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def statistics(data: Prepared, choice: DataChoice | None = None) -> Quality:
    """A look at the data: sizes, classes, columns, and what may spoil training. What `choice` has mended is no more."""
    look = Look(data, choice)
    remarks = [finding.message for finding in order([one for check in AT_ONCE for one in looked(check, look)])]
    classes: dict[str, int] = {}
    if data.schema.target.type.is_one_of:
        counts = data.target[look.used].bincount(minlength=len(data.schema.target.classes)).tolist()
        classes = dict(zip(data.schema.target.classes, counts, strict=True))
    splits = {name: len(rows) for name, rows in data.split.items()}
    return Quality(len(data.target), splits, classes, list(_columns(data)), [*data.warnings, *remarks])


def _columns(data: Prepared) -> Iterator[dict[str, Any]]:
    raws = data.raw.parts if isinstance(data.raw, Several) else (data.raw,)
    for raw in raws:
        if not isinstance(raw, Table) or raw.name == "noise":
            continue
        for name, values in raw.numbers.items():
            whole = np.asarray(values)
            known = ~np.isnan(whole)
            yield {"column": name, "type": "number", **_range(whole[known]), "missing": int((~known).sum())}
        for name, texts in raw.categories.items():
            counts = dict(Labels.of(texts).counts(np.arange(len(texts))))
            yield {"column": name, "type": raw.kind_of(name), "missing": counts.get("", 0), "distinct": len(counts)}


def _range(known: np.ndarray) -> dict[str, Any]:
    if not len(known):
        return {"distinct": 0}
    return {
        "distinct": len(np.unique(known[:: 1 + len(known) // COUNTED])),
        "minimum": float(known.min()),
        "mean": float(known.mean()),
        "maximum": float(known.max()),
    }
