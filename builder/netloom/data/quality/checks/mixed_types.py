"""Columns that hold values of several types."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import MAX_EXAMPLES, Finding, Fix, quoted
from netloom.data.quality.quality_view import QualityView
from netloom.modalities.columns.conversion import dates, numbers

MIN_SHARE = 0.5  # of the values that have the usual type
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?%?")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}")


class MixedTypes(QualityCheck):
    """Columns of mostly numbers or dates, which a few other values turn into categories."""

    title = "Columns that mix numbers, dates and words"
    order = 80

    def check(self, view: QualityView) -> Iterator[Finding]:
        for name, values in view.single_valued.items():
            yield from self._column(view, name, values, "so the whole column is read as categories")
        for name, values in view.unread_columns.items():
            yield from self._column(view, name, values, "so it is read as text, or not at all")

    def _column(self, view: QualityView, name: str, values: np.ndarray, consequence: str) -> Iterator[Finding]:
        type_of = {value: cell_type(value) for value in set(values.tolist()) if value}
        counts = Counter(type_of[value] for value in values.tolist() if value)
        total = counts.total()
        usual, count = counts.most_common(1)[0] if counts else ("words", 0)
        if usual == "words" or count == total or count <= MIN_SHARE * total:
            return
        positions = [index for index, value in enumerate(values.tolist()) if value and type_of[value] != usual]
        odd_values = sorted({str(values[position]) for position in positions})
        yield Finding(
            "mixed_types",
            "warning",
            f"{name!r} holds {usual} in most rows and other values in {counted(len(positions), 'row')}, such as "
            f"{quoted(odd_values, 3)}; {consequence}.",
            f"Write missing values as empty cells and all {usual} in one format, and upload the file again; or treat "
            f"cells that are not {usual} as missing.",
            columns=(name,),
            # The table of the upload may have other rows than the data, which leaves out those without a target.
            rows=view.row_numbers(positions[:MAX_EXAMPLES]) if len(values) == len(view) else (),
            notes=tuple(str(values[position])[:60] for position in positions[:MAX_EXAMPLES]),
            count=len(positions),
            fix=_read_as_usual(view, name, usual, values),
        )


def _read_as_usual(view: QualityView, name: str, usual: str, values: np.ndarray) -> Fix | None:
    """Return the fix that reads a column as its usual type, if all of these values can be converted."""
    import pandas as pd

    cells = pd.Series([value for value in values.tolist() if value and cell_type(value) == usual], name=name)
    try:
        converted = numbers(cells, name, []) if usual == "numbers" else dates(cells, name, [])
    except DataError:
        return None
    if converted is None or pd.isna(converted).any():
        return None
    return fixes.read_as(view, name, usual.removesuffix("s"))


def cell_type(value: str) -> str:
    """Return the type of a text: "numbers", "dates" or "words"."""
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return "numbers"
    return "dates" if _DATE.fullmatch(text) else "words"
