"""Rows that occur more than once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.core.text import counted
from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.duplicate_groups import duplicate_groups
from netloom.data.quality.finding import MAX_EXAMPLES, Finding
from netloom.data.quality.quality_view import QualityView


class DuplicateRows(QualityCheck):
    """Rows that are equal, and rows that are equal but for their class, mask or objects."""

    title = "Duplicate rows"
    order = 40

    def check(self, view: QualityView) -> Iterator[Finding]:
        groups = duplicate_groups(view)
        if not groups or view.has_overlapping_rows:
            return
        equal, conflicting = groups, list[np.ndarray]()
        targets = view.target_codes
        if targets is not None:
            is_conflicting = [len(np.unique(targets[group])) > 1 for group in groups]
            equal = [group for group, conflicts in zip(groups, is_conflicting, strict=True) if not conflicts]
            conflicting = [group for group, conflicts in zip(groups, is_conflicting, strict=True) if conflicts]
        if equal:
            copies = sum(len(group) - 1 for group in equal)
            yield Finding(
                "duplicate_rows",
                "warning",
                f"{counted(copies, 'row')} of {len(view):,} {'repeats' if copies == 1 else 'repeat'} another row "
                "exactly.",
                "Rows that were duplicated by mistake count twice in training; keep one of each.",
                pairs=_pairs(view, equal),
                count=copies,
                fix=fixes.drop_duplicates(view),
            )
        if conflicting:
            rows, noun = sum(map(len, conflicting)), "target" if view.labels is None else "class"
            yield Finding(
                "conflicting_labels",
                "warning",
                f"{counted(rows, 'row')} have the same inputs as another row, but another {noun}.",
                "No network can predict both; look at these rows, and correct the labels or add a column that "
                "distinguishes them.",
                pairs=_pairs(view, conflicting),
                notes=_labels(view, conflicting),
                count=rows,
            )


def _pairs(view: QualityView, groups: list[np.ndarray]) -> tuple[tuple[int, int], ...]:
    return tuple((int(view.rows[group[0]]), int(view.rows[group[1]])) for group in groups[:MAX_EXAMPLES])


def _labels(view: QualityView, groups: list[np.ndarray]) -> tuple[str, ...]:
    """Two classes of each group."""
    labels = view.labels
    if labels is None:
        return ()
    notes = []
    for group in groups[:MAX_EXAMPLES]:
        first = labels[group[0]]
        second = next(label for label in labels[group] if label != first)
        notes.append(f"{view.classes[first]} / {view.classes[second]}")
    return tuple(notes)
