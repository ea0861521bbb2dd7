"""Concepts that people define by rows of the data: a class, the values of a column, a word, or row numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.modalities.encoding.cells import as_text

if TYPE_CHECKING:
    from netloom.data import Prepared

MAX_SEARCHED_ROWS = 50_000


@dataclass(frozen=True)
class ConceptDefinition:
    """The rows that define a concept.

    `class` selects rows of the class or label `name`; `column` selects rows whose column `name` is between `low` and
    `high` or equals `text`; `word` selects rows that contain the word `text`; `rows` lists row numbers.
    """

    kind: Literal["class", "column", "word", "rows"]
    name: str = ""
    text: str = ""
    low: float | None = None
    high: float | None = None
    rows: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """The concept in a few words for tables and plots."""
        if self.kind == "class":
            return f"class {self.name}"
        if self.kind == "word":
            return f"the word {self.text!r}"
        if self.kind == "rows":
            return f"{len(self.rows)} chosen rows"
        if self.text:
            return f"{self.name} is {self.text}"
        low = f"{self.low:g} ≤ " if self.low is not None else ""
        return f"{low}{self.name}" + (f" ≤ {self.high:g}" if self.high is not None else "")


def parse_row_numbers(text: str) -> tuple[int, ...]:
    """Parse row numbers and ranges such as "3, 8, 20-60".

    Raises:
        ExplainError: The text has another format, or a range is too long.
    """
    numbers: list[int] = []
    for part in text.replace(";", ",").replace("–", "-").split(","):
        if not part.strip():
            continue
        match = re.fullmatch(r"\s*(\d{1,12})(?:\s*-\s*(\d{1,12}))?\s*", part)
        if match is None:
            raise ExplainError(f"Write rows as 3, 8, 20-60; received {part.strip()[:40]!r}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last - first >= MAX_SEARCHED_ROWS:
            raise ExplainError(f"The range {first}-{last} has too many rows; use at most {MAX_SEARCHED_ROWS:,}.")
        numbers += range(first, last + 1)
    return tuple(dict.fromkeys(numbers))


def concept_rows(data: Prepared, concept: ConceptDefinition) -> np.ndarray:
    """Return the sorted row numbers that match a concept, (N,).

    Raises:
        ExplainError: The class, column or row does not exist.
    """
    rows, target = data.schema.rows, data.schema.target
    if concept.kind == "rows":
        unknown = [row for row in concept.rows if not 0 <= row < rows]
        if unknown:
            raise UnknownChoiceError(f"There is no row {unknown[0]}; the dataset has rows 0 to {rows - 1}.")
        return np.unique(np.array(concept.rows, dtype=np.int64))
    if concept.kind == "class":
        if concept.name not in target.classes or not target.type.is_label_set:
            raise UnknownChoiceError(
                f"There is no class {concept.name[:60]!r}; choose one of {', '.join(target.classes[:20])}."
            )
        number = target.classes.index(concept.name)
        has_class = data.target[:, number] > 0 if target.type.is_multi_label else data.target == number
        class_rows: np.ndarray = has_class.nonzero()[:, 0].numpy()
        return class_rows
    return np.array(
        [row for row in range(min(rows, MAX_SEARCHED_ROWS)) if _matches(data, row, concept)], dtype=np.int64
    )


def _matches(data: Prepared, row: int, concept: ConceptDefinition) -> bool:
    raw = data.row(row)
    if concept.kind == "word":
        words = " ".join(value for value in map(as_text, raw.values()) if isinstance(value, str))
        # Unlike \b, these also delimit words that start or end with punctuation.
        return re.search(rf"(?<!\w){re.escape(concept.text)}(?!\w)", words, re.IGNORECASE) is not None
    if concept.name not in raw:
        raise UnknownChoiceError(
            f"There is no column {concept.name[:60]!r}; choose one of {', '.join(list(raw)[:20])}."
        )
    value = raw[concept.name]
    if concept.text:
        return str(value).strip().lower() == concept.text.strip().lower()
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    above = concept.low is None or number >= concept.low
    # A value compared with itself is False for NaN, which belongs to no range.
    return above and (number <= concept.high if concept.high is not None else number == number)
