"""Columns that hold things of several kinds, and categories that are hardly ever met."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np

from netloom.core.errors import DataError
from netloom.data.quality import fixes
from netloom.data.quality.finding import SHOWN, Finding, Fix, Plot, are, named
from netloom.data.quality.quality_view import Look
from netloom.modalities.columns.conversion import dates, numbers

USUAL = 0.5  # of a column's values are of one kind, and not all of them
RARE = 5
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?%?")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}")


class MixedKinds:
    """Columns of which most are numbers or dates and some are not, which makes all of them categories."""

    title = "Columns that mix numbers, dates and words"
    heavy = False
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        for name, values in look.single_valued.items():
            yield from self._column(look, name, values, "so all of it is read as categories")
        for name, values in look.left_out.items():
            yield from self._column(look, name, values, "so it is read as words, or not at all")

    def _column(self, look: Look, name: str, values: np.ndarray, then: str) -> Iterator[Finding]:
        kinds = {value: kind(value) for value in set(values.tolist()) if value}
        counts = Counter(kinds[value] for value in values.tolist() if value)
        total = counts.total()
        usual, count = counts.most_common(1)[0] if counts else ("words", 0)
        if usual == "words" or count == total or count <= USUAL * total:
            return
        places = [place for place, value in enumerate(values.tolist()) if value and kinds[value] != usual]
        others = sorted({str(values[place]) for place in places})
        yield Finding(
            "mixed_types",
            "warning",
            f"{name!r} holds {usual} in most rows and other things in {are(len(places), 'row')}, such as "
            f"{named(others, 3)}; {then}.",
            f"Write missing values as empty cells and {usual} all in one way, and add the file again; or have "
            f"cells that are no {usual} taken as missing.",
            columns=(name,),
            # The rows of a table that are not read may be others than those that are.
            rows=look.named(places[:SHOWN]) if len(values) == len(look) else (),
            notes=tuple(str(values[place])[:60] for place in places[:SHOWN]),
            count=len(places),
            fix=_read_as(look, name, usual, values),
        )


def _read_as(look: Look, name: str, usual: str, values: np.ndarray) -> Fix | None:
    """The mend that reads a column as what it mostly holds, where that is how it is written."""
    import pandas as pd

    cells = pd.Series([value for value in values.tolist() if value and kind(value) == usual], name=name)
    try:
        read = numbers(cells, name, []) if usual == "numbers" else dates(cells, name, [])
    except DataError:
        return None
    whole = read is not None and not pd.isna(read).any()
    return fixes.read_as(look, name, usual.removesuffix("s")) if whole else None


class RareCategories:
    """Categories with a few rows each."""

    title = "Categories that are hardly ever met"
    heavy = False
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        for name, values in look.single_valued.items():
            counts = Counter(values.tolist())
            rare = [value for value, count in counts.items() if count < RARE and value]
            # Where most are rare, the column names things rather than sorts them; that is no fault of a value.
            if not rare or len(look) < 20 * RARE or len(rare) > len(counts) / 2:
                continue
            most = counts.most_common(20)
            yield Finding(
                "rare_categories",
                "hint",
                f"{are(len(rare), 'category', 'categories')} of {name!r} {'has' if len(rare) == 1 else 'have'} fewer "
                f"than {RARE} rows: {named(sorted(rare))}.",
                "What is learned of them is chance; put them together as one, such as “other”. Look for different "
                "spellings of the same.",
                columns=(name,),
                count=len(rare),
                plot=Plot("bars", tuple(v for v, _ in most), {"rows": [count for _, count in most]}, axis="Rows"),
            )


def kind(value: str) -> str:
    """Whether a text is a number, a date, or words."""
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return "numbers"
    return "dates" if _DATE.fullmatch(text) else "words"
