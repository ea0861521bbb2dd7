"""Classes with too few rows to learn from, or without rows to measure on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.core.text import counted
from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import Finding, Plot, quoted
from netloom.data.quality.quality_view import QualityView

MIN_ROWS = 10
MAX_BARS = 40


class SmallClasses(QualityCheck):
    """Classes with fewer than `MIN_ROWS` rows, and classes that validation or test rows lack."""

    title = "Classes with too few rows"
    order = 60
    is_in_overview = True

    def check(self, view: QualityView) -> Iterator[Finding]:
        counts = view.class_counts
        small = [name for name, count in counts.items() if count < MIN_ROWS]
        if small:
            bars = small[:MAX_BARS]
            yield Finding(
                "small_classes",
                "warning",
                f"{counted(len(small), 'class', 'classes')} {'has' if len(small) == 1 else 'have'} fewer than "
                f"{MIN_ROWS} rows: {quoted(small)}.",
                "A class with so few rows can be neither learned nor measured; collect more of them, merge them into "
                "one class, or leave them out.",
                count=len(small),
                plot=Plot("bars", tuple(bars), {"rows": [counts[name] for name in bars]}, axis="Rows"),
                exact=True,
            )
        unmeasured = _unmeasured(view, [name for name in counts if name not in small])
        if unmeasured:
            yield Finding(
                "unmeasured_classes",
                "warning",
                " ".join(
                    f"{quoted(names)} {'has' if len(names) == 1 else 'have'} {lack}."
                    for lack, names in unmeasured.items()
                ),
                "Test rows measure how well a class is predicted, and validation rows select the best weights; use a "
                "stratified split, so that each part has rows of each class.",
                count=sum(map(len, unmeasured.values())),
                fix=fixes.split_by(view, "stratified", "Split by class"),
                exact=True,
            )


def _unmeasured(view: QualityView, names: list[str]) -> dict[str, list[str]]:
    """Return the classes without validation or test rows, by what they lack; data without a validation part lacks none.

    Classes without training rows are left to the check of unseen labels.
    """
    train, validation, test = (
        set(np.unique(view.data.target[view.data.split[part]].numpy()).tolist())
        for part in ("train", "validation", "test")
    )
    indices = {name: index for index, name in enumerate(view.classes)}
    unmeasured: dict[str, list[str]] = {}
    for name in names:
        index = indices[name]
        lack = {
            (False, False): "no validation rows and no test rows",
            (True, False): "no test rows",
            (False, True): "no validation rows",
        }.get((not validation or index in validation, index in test))
        if lack and index in train:
            unmeasured.setdefault(lack, []).append(name)
    return unmeasured
