"""Scores of each class, as tables show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def by_class(classes: Sequence[str], scores: Any) -> list[dict[str, Any]]:
    """A row for each class, of what scikit-learn's `precision_recall_fscore_support` gives: four arrays (classes)."""
    return [
        {"class": name, "precision": float(exact), "recall": float(found), "f1": float(f1), "examples": int(count)}
        for name, exact, found, f1, count in zip(classes, *scores, strict=True)
    ]
