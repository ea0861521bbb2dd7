"""The overview of data: counts, ranges and the findings of quick checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data.preparation.prepared_data import Prepared
from netloom.data.quality.finding import by_severity
from netloom.data.quality.quality_view import QualityView
from netloom.data.quality.registry import quality_checks
from netloom.data.raw.table import Table
from netloom.modalities.encoding.tags import IGNORE
from netloom.modalities.labels import Labels

if TYPE_CHECKING:
    from netloom.document import DataChoice

MAX_COUNTED_ROWS = 1_000_000  # evenly spaced rows in which distinct numbers are counted, as that sorts them


@dataclass(frozen=True)
class Quality:
    """Counts and ranges. `remarks` are warnings of the data and the messages of findings."""

    rows: int
    splits: dict[str, int]
    classes: dict[str, int] = field(default_factory=dict)
    columns: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def statistics(data: Prepared, choice: DataChoice | None = None) -> Quality:
    """Return the overview of data. Findings take the settings of `choice` into account, which may have fixed them."""
    view = QualityView(data, choice)
    checks = [check for check in quality_checks() if check.is_in_overview]
    findings = by_severity([finding for check in checks for finding in check.findings(view)])
    remarks = [finding.message for finding in findings]
    classes = class_counts(data, view.used_rows)
    splits = {name: len(rows) for name, rows in data.split.items()}
    return Quality(len(data.target), splits, classes, list(_columns(data)), [*data.warnings, *remarks])


def class_counts(data: Prepared, rows: np.ndarray) -> dict[str, int]:
    """Return the number of rows, objects or words of each class, or of the rows with each label; {} for other
    targets."""
    target = data.schema.target
    if target.type.is_multi_label:
        rows_with_label = (data.target.numpy()[rows] > 0).sum(0)
        return dict(zip(target.classes, rows_with_label.tolist(), strict=True))
    if target.type.is_tags:
        numbers = data.target.numpy()[rows]
        numbers = numbers[numbers != IGNORE]
    elif target.type.is_boxes:
        numbers = data.target.numpy()[rows][..., 0]
        numbers = numbers[numbers >= 0].astype(np.int64)
    elif target.type.is_one_of:
        numbers = data.target_values[rows]
    else:
        return {}
    return dict(zip(target.classes, np.bincount(numbers, minlength=len(target.classes)).tolist(), strict=False))


def _columns(data: Prepared) -> Iterator[dict[str, Any]]:
    for field_data in data.raw.parts:
        if not isinstance(field_data, Table) or field_data.name == "noise":
            continue
        for name, values in field_data.numbers.items():
            numbers = np.asarray(values)
            present = ~np.isnan(numbers)
            yield {"column": name, "type": "number", **_range(numbers[present]), "missing": int((~present).sum())}
        for name, texts in field_data.categories.items():
            counts = dict(Labels.of(texts).counts(np.arange(len(texts))))
            kind = field_data.kind_of(name)
            yield {"column": name, "type": kind, "missing": counts.get("", 0), "distinct": len(counts.keys() - {""})}


def _range(numbers: np.ndarray) -> dict[str, Any]:
    if not len(numbers):
        return {"distinct": 0}
    return {
        "distinct": len(np.unique(numbers[:: 1 + len(numbers) // MAX_COUNTED_ROWS])),
        "minimum": float(numbers.min()),
        "mean": float(numbers.mean()),
        "maximum": float(numbers.max()),
    }
