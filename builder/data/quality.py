"""What one should know about data before training on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from builder.data.prepared import Prepared
from builder.data.raw import Table, Texts

IMBALANCE = 10.0
LEAK = 0.995


@dataclass(frozen=True)
class Quality:
    """Counts and ranges, and what is remarkable about them, in sentences."""

    rows: int
    splits: dict[str, int]
    classes: dict[str, int] = field(default_factory=dict)
    columns: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def statistics(data: Prepared) -> Quality:
    """A look at the data: sizes, classes, columns, and what may spoil training."""
    remarks = list(data.warnings)
    classes: dict[str, int] = {}
    target = data.schema.target
    if target.kind == "class":
        counts = Counter(data.target.tolist())
        classes = {name: counts[number] for number, name in enumerate(target.classes)}
        rarest = min(classes, key=lambda name: classes[name])
        if max(classes.values()) > IMBALANCE * max(classes[rarest], 1):
            remarks.append(
                f"The classes are uneven: {rarest!r} has {classes[rarest]:,} of {len(data.target):,} rows. "
                "Look at balanced accuracy and the per-class report, not at accuracy alone."
            )
    raw = data.raw
    columns = _columns(raw, data, remarks) if isinstance(raw, Table) else []
    if isinstance(raw, Texts):
        repeated = len(raw.texts) - len(set(raw.texts))
        if repeated:
            remarks.append(f"{repeated:,} texts occur more than once, so the test may hold what was trained on.")
    splits = {name: len(rows) for name, rows in data.split.items()}
    return Quality(len(data.target), splits, classes, columns, remarks)


def _columns(raw: Table, data: Prepared, remarks: list[str]) -> list[dict[str, Any]]:
    target = data.target.numpy().astype(np.float64).reshape(len(data.target), -1)[:, 0]
    columns = []
    for name, values in raw.numbers.items():
        missing = int(np.isnan(values).sum())
        known = values[~np.isnan(values)]
        columns.append(
            {
                "column": name,
                "type": "number",
                "missing": missing,
                "distinct": len(np.unique(known)),
                "minimum": float(known.min()),
                "mean": float(known.mean()),
                "maximum": float(known.max()),
            }
        )
        if missing:
            remarks.append(f"{name!r} is missing in {missing:,} rows; the median of the training rows stands in.")
        if known.min() == known.max():
            remarks.append(f"{name!r} has the same value in every row, so it says nothing.")
        elif not missing and abs(np.corrcoef(values, target)[0, 1]) > LEAK:
            remarks.append(f"{name!r} all but equals the target; make sure that it is known when predicting.")
    for name, texts in raw.categories.items():
        missing = sum(not text for text in texts)
        columns.append({"column": name, "type": "category", "missing": missing, "distinct": len(set(texts))})
    return columns
