"""Columns of sets: empty sets, values without information, and spellings of one value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from netloom.core.text import counted
from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import MAX_EXAMPLES, Finding, Plot, quoted
from netloom.data.quality.quality_view import QualityView
from netloom.data.settings.label_merging import normal

MOSTLY = 0.5  # share of empty sets from which the column is mostly empty
NEARLY_ALL = 0.95  # share of sets with a value from which the value is nearly constant
MIN_ROWS = 5  # with a value
MAX_BARS = 20


class ValueSets(QualityCheck):
    """Faults of columns whose cells hold several values, such as the genres Action|Comedy."""

    title = "Sets of values that are empty, too common, too rare or spelled differently"
    order = 135

    def check(self, view: QualityView) -> Iterator[Finding]:
        for name, sets in view.value_sets.items():
            counts = Counter(value for values in sets for value in values)
            yield from _empty_sets(view, name, sets)
            yield from _common_values(name, sets, counts)
            yield from _rare_values(view, name, counts, view.set_encoders[name].values)
            yield from _spellings(name, counts)


def _empty_sets(view: QualityView, name: str, sets: list[list[str]]) -> Iterator[Finding]:
    empty = np.flatnonzero([not values for values in sets])
    if not len(empty):
        return
    is_mostly_empty = len(empty) > MOSTLY * len(sets)
    yield Finding(
        "empty_sets",
        "warning" if is_mostly_empty else "hint",
        f"{name!r} is an empty set in {counted(len(empty), 'row')} of {len(sets):,}.",
        "A missing cell and a cell without values are encoded in the same way. If the values are unknown there, write "
        "a value such as “unknown” into these cells.",
        columns=(name,),
        rows=view.row_numbers(empty[:MAX_EXAMPLES]),
        count=len(empty),
        fix=fixes.ignore(view, [name]) if is_mostly_empty else None,
    )


def _common_values(name: str, sets: list[list[str]], counts: Counter[str]) -> Iterator[Finding]:
    common = [value for value, count in counts.most_common() if count >= NEARLY_ALL * len(sets)]
    if not common:
        return
    yield Finding(
        "common_set_values",
        "hint",
        f"Nearly all sets of {name!r} contain {quoted(common)}, so {'it has' if len(common) == 1 else 'they have'} "
        "almost no information.",
        "Remove it from the cells, unless the few sets without it matter.",
        columns=(name,),
        count=len(common),
        plot=_bars(counts),
    )


def _rare_values(view: QualityView, name: str, counts: Counter[str], encoded: Sequence[str]) -> Iterator[Finding]:
    """Yield the rare values among the `encoded` ones, as a column may be limited to its most frequent values."""
    rare = [value for value in encoded if counts[value] < MIN_ROWS]
    # As for categories: of few rows all values are rare, and mostly rare values identify rows.
    if not rare or len(view) < 20 * MIN_ROWS or len(rare) > len(encoded) / 2:
        return
    yield Finding(
        "rare_set_values",
        "hint",
        f"{counted(len(rare), 'value')} of {name!r} {'is' if len(rare) == 1 else 'are'} in fewer than {MIN_ROWS} rows: "
        f"{quoted(sorted(rare))}.",
        "What a network learns from so few rows is chance; limit the number of values of the column, so that the most "
        "frequent ones are used.",
        columns=(name,),
        count=len(rare),
        plot=_bars(counts),
        fix=fixes.limit_set_values(view, name, len(encoded) - len(rare)),
    )


def _spellings(name: str, counts: Counter[str]) -> Iterator[Finding]:
    """Values that differ in case, spaces or punctuation only; each is a feature of its own."""
    by_normal_form: dict[str, list[str]] = {}
    for value, _ in counts.most_common():
        by_normal_form.setdefault(normal(value), []).append(value)
    groups = [values for values in by_normal_form.values() if len(values) > 1]
    if not groups:
        return
    examples = "; ".join(quoted(values) for values in groups[:4])
    yield Finding(
        "similar_set_values",
        "warning",
        f"Values of {name!r} differ in case, spaces or punctuation only: {examples}.",
        "If they mean the same, use one spelling in the file; the network sees them as unrelated values.",
        columns=(name,),
        count=len(groups),
    )


def _bars(counts: Counter[str]) -> Plot:
    most = counts.most_common(MAX_BARS)
    return Plot("bars", tuple(value for value, _ in most), {"rows": [count for _, count in most]}, axis="Rows")
