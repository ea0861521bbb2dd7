"""Raw rows for prediction, and the warnings about their cells.

This module is copied into exported networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.column_encoder import ColumnEncoder
from netloom.modalities.encoding.field_encoder import field_encoder
from netloom.modalities.encoding.rows import Answer

_MAX_EXAMPLES = 5


@dataclass
class RowFile:
    """The rows of a file or of a request.

    Attributes:
        rows: For each row, the values by column.
        unreadable: For each row, the cells that cannot be read as their column's kind and count as missing, by column.
        notes: Sentences on what had to be assumed.
        is_single: Whether the file holds a single row instead of a list.
        names: The name of each row, such as its file in a zip or its series; empty if they have none.
        name_column: What the names are, such as the column of the series.
    """

    rows: list[RawRow]
    unreadable: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_single: bool = False
    names: list[str] = field(default_factory=list)
    name_column: str = ""

    def __post_init__(self) -> None:
        self.unreadable = self.unreadable or [{} for _ in self.rows]

    def annotated(self, answers: list[Answer]) -> list[Answer]:
        """Return the predictions for the rows with their names, and with the cells that cannot be read."""
        if self.names:
            named = zip(self.names, answers, strict=True)
            answers = [{self._name_key(answer): name, **answer} for name, answer in named]
        return with_warnings(answers, unreadable=self.unreadable)

    def _name_key(self, answer: Answer) -> str:
        """Return the key of the name of a row, which no other value of its prediction has."""
        return f"{self.name_column} (row)" if self.name_column in answer else self.name_column


def unknown_categories(preprocess: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return for each row the categories that the training data did not have, by column. They share one encoding."""
    return unknown_in([column for field in preprocess["fields"] for column in field_encoder(field).columns], rows)


def unknown_in(columns: Sequence[ColumnEncoder], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the same as `unknown_categories` for the encoders of columns."""
    each = [{column.name: column.unknown(row.get(column.name)) for column in columns} for row in rows]
    return [{name: text for name, text in unknown.items() if text} for unknown in each]


def with_warnings(answers: list[Answer], **about: Sequence[Mapping[str, str]]) -> list[Answer]:
    """Return the predictions with the warnings about their rows, such as `unknown` or `unreadable` cells by column."""
    return [
        {**answer, **{kind: dict(rows[row_index]) for kind, rows in about.items() if rows[row_index]}}
        for row_index, answer in enumerate(answers)
    ]


def summarize_warnings(answers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the warnings of all rows, as one sentence per column and kind of warning."""
    sentences = []
    for kind, reason in (
        ("unknown", "a category that the training data did not have"),
        ("unreadable", "a cell that cannot be read like the training data, and counts as missing"),
    ):
        columns: dict[str, dict[str, int]] = {}
        for answer in answers:
            for name, cell in answer.get(kind, {}).items():
                counts = columns.setdefault(name, {})
                counts[cell] = counts.get(cell, 0) + 1
        for name, counts in columns.items():
            examples = [
                f"{cell[:60]!r} ({count:,})" for cell, count in sorted(counts.items(), key=lambda item: -item[1])
            ]
            more = f" and {len(examples) - _MAX_EXAMPLES:,} more" if len(examples) > _MAX_EXAMPLES else ""
            sentences.append(
                f"Column {name!r}: {sum(counts.values()):,} of {len(answers):,} rows hold {reason}: "
                f"{', '.join(examples[:_MAX_EXAMPLES])}{more}."
            )
    return sentences
