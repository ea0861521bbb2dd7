"""Categories with very few rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from netloom.core.text import counted
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import Finding, Plot, quoted
from netloom.data.quality.quality_view import QualityView

MIN_ROWS = 5
MAX_BARS = 20


class RareCategories(QualityCheck):
    """Categories with fewer than `MIN_ROWS` rows."""

    title = "Rare categories"
    order = 130

    def check(self, view: QualityView) -> Iterator[Finding]:
        for name, values in view.single_valued.items():
            counts = Counter(values.tolist())
            rare = [value for value, count in counts.items() if count < MIN_ROWS and value]
            # If most categories are rare, the column identifies rows, which is not a fault of single categories.
            if not rare or len(view) < 20 * MIN_ROWS or len(rare) > len(counts) / 2:
                continue
            most = counts.most_common(MAX_BARS)
            bars = Plot("bars", tuple(value for value, _ in most), {"rows": [count for _, count in most]}, axis="Rows")
            yield Finding(
                "rare_categories",
                "hint",
                f"{counted(len(rare), 'category', 'categories')} of {name!r} {'has' if len(rare) == 1 else 'have'} "
                f"fewer than {MIN_ROWS} rows: {quoted(sorted(rare))}.",
                "What a network learns from so few rows is chance; merge them into one category, such as “other”. "
                "Check for different spellings of one category.",
                columns=(name,),
                count=len(rare),
                plot=bars,
            )
