"""What one should know about data before training on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from builder.data.prepared import Prepared
from builder.data.raw import Characters, Table, Texts

IMBALANCE = 10.0
LEAK = 0.99  # of the target's variance
ROWS_PER_CLASS = 10


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
    classes = _classes(data, remarks) if data.schema.target.kind == "class" else {}
    columns = _columns(data.raw, data, remarks) if isinstance(data.raw, Table) else []
    _repeated(data, remarks)
    splits = {name: len(rows) for name, rows in data.split.items()}
    return Quality(len(data.target), splits, classes, columns, remarks)


def _classes(data: Prepared, remarks: list[str]) -> dict[str, int]:
    counts = Counter(data.target.tolist())
    classes = {name: counts[number] for number, name in enumerate(data.schema.target.classes)}
    rarest = min(classes, key=lambda name: classes[name])
    if max(classes.values()) > IMBALANCE * max(classes[rarest], 1):
        remarks.append(
            f"The classes are uneven: {rarest!r} has {classes[rarest]:,} of {len(data.target):,} rows. "
            "Look at balanced accuracy and the per-class report, not at accuracy alone."
        )
    return classes


def _repeated(data: Prepared, remarks: list[str]) -> None:
    """Test rows that training sees as well, which make the test look better than it is."""
    if isinstance(data.raw, Characters):
        return
    seen = set(_contents(data, "train"))
    repeated = sum(content in seen for content in _contents(data, "test"))
    if repeated:
        remarks.append(
            f"{repeated:,} of the {len(data.split['test']):,} test rows stand in the training rows just the same, "
            "so the test may look better than it is."
        )


def _contents(data: Prepared, part: str) -> list[Any]:
    rows = data.split[part]
    if isinstance(data.raw, Texts):  # their tokens may have been cut
        return [data.raw.texts[row] for row in rows.tolist()]
    fields = [values[rows].numpy() for values in data.inputs.values()]
    return [b"".join(row.tobytes() for row in parts) for parts in zip(*fields, strict=True)]


def _columns(raw: Table, data: Prepared, remarks: list[str]) -> list[dict[str, Any]]:
    target = data.target.numpy().reshape(len(data.target), -1)[:, 0]
    classes = len(data.schema.target.classes)
    columns: list[dict[str, Any]] = []
    for name, values in raw.numbers.items():
        known = ~np.isnan(values)
        columns.append({"column": name, "type": "number", **_range(values[known]), "missing": int((~known).sum())})
        if not known.all():
            remarks.append(
                f"{name!r} is missing in {(~known).sum():,} rows; the median of the training rows stands in."
            )
        if columns[-1]["distinct"] < 2:
            remarks.append(f"{name!r} has the same value in every row, so it says nothing.")
        elif _told(values[known], target[known].astype(np.float64), classes) > LEAK:
            remarks.append(f"{name!r} all but equals the target; make sure that it is known when predicting.")
    for name, texts in raw.categories.items():
        missing, distinct = sum(not text for text in texts), len(set(texts))
        columns.append({"column": name, "type": "category", "missing": missing, "distinct": distinct})
        if distinct < 2:
            remarks.append(f"{name!r} has the same value in every row, so it says nothing.")
        elif classes and _gives_away(texts, target.tolist()):
            remarks.append(f"{name!r} all but gives the target away; make sure that it is known when predicting.")
    return columns


def _range(known: np.ndarray) -> dict[str, Any]:
    if not len(known):
        return {"distinct": 0}
    return {
        "distinct": len(np.unique(known)),
        "minimum": float(known.min()),
        "mean": float(known.mean()),
        "maximum": float(known.max()),
    }


def _told(values: np.ndarray, target: np.ndarray, classes: int) -> float:
    """The share of variance that a number and the target have in common: R², or between classes the squared
    correlation ratio (https://en.wikipedia.org/wiki/Correlation_ratio)."""
    spread = values - values.mean()
    total = float(spread @ spread)
    if not total or len(values) < ROWS_PER_CLASS * max(classes, 1):
        return 0.0
    if classes:
        groups = [spread[target == number] for number in np.unique(target)]
        return sum(len(group) * float(group.mean()) ** 2 for group in groups) / total
    other = target - target.mean()
    return float(spread @ other) ** 2 / (total * float(other @ other) or 1.0)


def _gives_away(texts: list[str], target: list[int]) -> bool:
    """Whether each category stands for one class, with enough rows of each to be no accident."""
    pairs = Counter(zip(texts, target, strict=True))
    right = Counter[str]()
    for (text, _), count in pairs.items():
        right[text] = max(right[text], count)
    return len(right) * ROWS_PER_CLASS <= len(texts) and right.total() > LEAK * len(texts) and len(set(target)) > 1
