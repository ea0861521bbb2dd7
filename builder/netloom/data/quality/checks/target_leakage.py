"""A column that determines the target by itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.data.quality import fixes
from netloom.data.quality.association import explained_variance, purity, rank_association
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import Finding, Plot
from netloom.data.quality.quality_view import QualityView

MIN_ASSOCIATION = 0.99
MAX_BARS = 15


class TargetLeakage(QualityCheck):
    """A column from which alone the target can be predicted."""

    title = "A column that reveals the target (target leakage)"
    order = 20
    is_in_overview = True
    invalidates_results = True

    def check(self, view: QualityView) -> Iterator[Finding]:
        if view.target is None:
            return
        associations = _associations(view, view.target)
        for name, association in associations.items():
            if association > MIN_ASSOCIATION:
                yield self._finding(view, name, associations)

    def _finding(self, view: QualityView, name: str, associations: dict[str, float]) -> Finding:
        strongest = sorted(associations, key=lambda column: -associations[column])[:MAX_BARS]
        shares = [associations[column] for column in strongest]
        return Finding(
            "gives_away",
            "error",
            f"{name!r} almost determines the target; make sure that it is known when predicting.",
            "A column that is filled in after the fact, such as a code of the result, makes test scores look perfect, "
            "but the network fails in use. Leave it out unless it is known beforehand.",
            columns=(name,),
            plot=Plot("bars", tuple(strongest), {"told": shares}, axis="Share of the target"),
            fix=fixes.ignore(view, [name]),
        )


def _associations(view: QualityView, target: np.ndarray) -> dict[str, float]:
    """Return how strongly each column that is not constant determines the target, from 0 to 1."""
    associations: dict[str, float] = {}
    classes = len(view.classes)
    for name, values in view.numbers.items():
        present = ~np.isnan(values)
        if present.any() and values[present].min() != values[present].max():
            association = explained_variance(values[present], target[present], classes)
            # Ranks cost a sort, which is only needed if the values themselves do not settle it.
            if association <= MIN_ASSOCIATION:
                association = max(association, rank_association(values[present], target[present], classes))
            associations[name] = association
    for name, texts in view.categories.items():
        if len(set(texts)) < 2:
            continue
        if classes:
            associations[name] = purity(texts.tolist(), target.astype(int).tolist())
        else:
            codes = view.category_codes[name]
            associations[name] = explained_variance(target, codes, int(codes.max()) + 1)
    return associations
