"""Columns with a single value."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import Finding
from netloom.data.quality.quality_view import QualityView


class ConstantColumns(QualityCheck):
    """Columns with one value, or with none."""

    title = "Columns with the same value in every row"
    order = 110
    is_in_overview = True

    def check(self, view: QualityView) -> Iterator[Finding]:
        for name in view.constant_columns:
            yield Finding(
                "constant_column",
                "hint",
                f"{name!r} has the same value in every row, so it has no information.",
                "Leave it out: it adds weights and cannot improve predictions.",
                columns=(name,),
                fix=fixes.ignore(view, [name]),
            )
