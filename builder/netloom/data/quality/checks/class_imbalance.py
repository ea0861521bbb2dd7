"""Classes of very different sizes."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import Finding, Plot
from netloom.data.quality.quality_view import QualityView

MAX_RATIO = 10.0  # of the most frequent class to the rarest


class ClassImbalance(QualityCheck):
    """A class that is much rarer than another."""

    title = "Classes of very different sizes"
    order = 50
    is_in_overview = True

    def check(self, view: QualityView) -> Iterator[Finding]:
        counts = view.class_counts
        if not counts:
            return
        rarest = min(counts, key=lambda name: counts[name])
        if max(counts.values()) <= MAX_RATIO * max(counts[rarest], 1):
            return
        total = sum(counts.values())
        yield Finding(
            "imbalance",
            "warning",
            f"The classes are imbalanced: {rarest!r} has {counts[rarest]:,} of {total:,} rows.",
            "A network that never predicts the rare class can have a high accuracy; look at balanced accuracy and the "
            "per-class metrics, and use class weights.",
            count=counts[rarest],
            plot=Plot("bars", tuple(counts), {"rows": list(counts.values())}, axis="Rows"),
            fix=fixes.balance_class_weights(),
            exact=True,
        )
