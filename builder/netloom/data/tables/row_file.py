"""Rows to predict for, from a CSV or JSON file, with each cell read as the import of the training data read it.

It travels with an exported network. The encoders of the fitted fields read the cells.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netloom.data.tables.dialect import (
    LATIN,
    MISSING_MARKS,
    SAMPLE_LINES,
    FileError,
    column_names,
    decoded,
    dialect_of,
    has_no_header,
    looks_like_number,
    numbered_names,
    records,
    refuse_empty,
)
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.encoding.column_encoder import CellReader, CsvColumn
from netloom.modalities.encoding.field_encoder import field_encoder, refuse_constant

_NUMBERED = re.compile(r"column \d+")
_SHOWN = 5
_DEEPEST = 3


@dataclass
class RowFile:
    """The rows of a file. `unreadable` says of each row which cells hold no value of their column's kind, and are taken
    as missing; `notes` are sentences on what had to be assumed. `one` tells whether the file is a row, not a list."""

    rows: list[dict[str, Any]]
    unreadable: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    one: bool = False


def read_rows(data: bytes, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    """The rows of a file: CSV with a header, or JSON, which is one row, a list of rows or a row on each line.

    In CSV, the cell of an image, a series or a sound holds a list, written as JSON.

    Raises:
        FileError: it cannot be read; the message is one sentence.
        EncodeError: a column that is needed is not there, or a cell holds what import refuses.
    """
    text, encoding = decoded(data, name)
    refuse_empty(text, name)
    lowered = name.lower()
    as_csv = not lowered.endswith((".json", ".jsonl")) and text.lstrip()[:1] not in "[{"
    found = (
        _csv_rows(text, name, preprocess) if as_csv or lowered.endswith((".csv", ".tsv")) else _json_rows(text, name)
    )
    if encoding == LATIN:
        found.notes.append(f"{name[:100]!r} is not UTF-8 and was read as Windows-1252.")
    if not found.rows:
        raise FileError(f"{name[:100]!r} has no rows.")
    found.unreadable = found.unreadable or [{} for _ in found.rows]
    return found


def unknown_categories(preprocess: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The categories of each row that training did not have, by column. The network sees them all alike."""
    columns = [column for field in preprocess["fields"] for column in field_encoder(field).columns]
    each = [{column.name: column.unknown(row.get(column.name)) for column in columns} for row in rows]
    return [{name: text for name, text in unknown.items() if text} for unknown in each]


def reported(answers: list[dict[str, Any]], **about: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The answers, each with what is odd about its row, by the kind of oddity."""
    return [
        {**answer, **{kind: dict(rows[place]) for kind, rows in about.items() if rows[place]}}
        for place, answer in enumerate(answers)
    ]


def summary(answers: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is odd about the rows, in a sentence for each column."""
    found = []
    for kind, told in (
        ("unknown", "a category that training did not have"),
        ("unreadable", "a cell that cannot be read as the training data was, and is taken as missing"),
    ):
        columns: dict[str, dict[str, int]] = {}
        for answer in answers:
            for name, cell in answer.get(kind, {}).items():
                counts = columns.setdefault(name, {})
                counts[cell] = counts.get(cell, 0) + 1
        for name, counts in columns.items():
            shown = [f"{cell[:60]!r} ({count:,})" for cell, count in sorted(counts.items(), key=lambda one: -one[1])]
            more = f" and {len(shown) - _SHOWN:,} more" if len(shown) > _SHOWN else ""
            found.append(
                f"Column {name!r}: {sum(counts.values()):,} of {len(answers):,} rows hold {told}: "
                f"{', '.join(shown[:_SHOWN])}{more}."
            )
    return found


def _json_rows(text: str, name: str) -> RowFile:
    try:
        value = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        found = _json_lines(text)
        if found is None:
            raise FileError(f"{name[:100]!r} is not valid JSON: {_json_error(error)}.") from None
        value = found
    rows = value if isinstance(value, list) else [value]
    for place, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise FileError(
                f"A row is an object with a value for each column; row {place} of {name[:100]!r} is not one."
            )
    return RowFile([{**row, **_flattened(row)} for row in rows], one=not isinstance(value, list))


def _json_lines(text: str) -> list[Any] | None:
    """The records of a text with one of them per line; None where it is none."""
    try:
        found = [json.loads(line, parse_constant=refuse_constant) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return None
    return found if len(found) > 1 and all(isinstance(row, dict) for row in found) else None


def _json_error(error: Exception) -> str:
    """Where a text is no JSON."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    if "set_int_max_str_digits" in str(error):
        return "a whole number in it has too many digits"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:150]


def _flattened(record: Mapping[str, Any], before: str = "", depth: int = 1) -> dict[str, Any]:
    """What is nested in a record, as columns such as `address.city`."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        whole = f"{before}{name}"[:200]
        if isinstance(value, dict) and value and depth < _DEEPEST:
            found |= _flattened(value, f"{whole}.", depth + 1)
        elif before:
            found[whole] = value
    return found


def _csv_rows(text: str, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    dialect, wanted = dialect_of(text), _wanted_columns(preprocess)
    try:
        lines = list(records(text, dialect))
    except csv.Error as error:
        raise FileError(f"{name[:100]!r} cannot be read as CSV: {error}.") from None
    names = _header(lines, wanted)
    body = lines if names == numbered_names(len(names)) and column_names(lines[0][1]) != names else lines[1:]
    for line, cells in body:
        if any(map(str.strip, cells[len(names) :])):
            raise FileError(
                f"{name[:100]!r} cannot be read as CSV: line {line} has {len(cells)} cells where {len(names)} were "
                "expected; put quotes around text that holds the separator."
            )
    places = {column: place for place, column in enumerate(names)}
    cells_of = {
        column: [_cell_at(cells, places[column]) for _, cells in body] for column in wanted.given(places, name, body)
    }
    found = RowFile([{} for _ in body], [{} for _ in body])
    for column, written in cells_of.items():
        held = CsvColumn(column, list(map(_stripped, written)), written, dialect.decimal, found.unreadable)
        for place, value in enumerate(wanted.readers[column].read(held)):
            found.rows[place][column] = value
    return found


def _stripped(cell: str | None) -> str | None:
    """A cell without the blanks around it; None where it is missing."""
    return None if cell is None or (plain := cell.strip()) in MISSING_MARKS else plain


def _cell_at(cells: Sequence[str], place: int) -> str | None:
    """A cell of a record; None where the record ends before."""
    return cells[place] if place < len(cells) else None


@dataclass
class _Wanted:
    """The columns that the fields are made of: how the cells of each name that a file may give are read, and the groups
    of names one of which has to be there."""

    readers: dict[str, CellReader] = field(default_factory=dict)
    any_of: list[tuple[str, ...]] = field(default_factory=list)

    def numbered(self) -> bool:
        """Whether the file of the training data named no columns, so that numbers stand for them."""
        return all(any(map(_NUMBERED.fullmatch, names)) for names in self.any_of)

    def given(self, places: Mapping[str, int], name: str, body: Sequence[Any]) -> list[str]:
        """Those that a file has.

        Raises:
            EncodeError: one is not there.
        """
        missing = [names[-1] for names in self.any_of if not any(one in places for one in names)]
        if missing and body:
            listed = ", ".join(map(repr, dict.fromkeys(missing)))
            held = ", ".join(map(repr, list(places)[:20]))
            raise EncodeError(f"{name[:100]!r} has no column {listed}; it has {held}.")
        return [column for column in self.readers if column in places]


def _wanted_columns(preprocess: Mapping[str, Any]) -> _Wanted:
    wanted = _Wanted()
    for encoder in map(field_encoder, preprocess["fields"]):
        for readers in encoder.cell_readers:
            wanted.readers |= readers
            if encoder.is_required:
                wanted.any_of.append(tuple(readers))
    return wanted


def _header(lines: Sequence[tuple[int, list[str]]], wanted: _Wanted) -> list[str]:
    """The names of a file's columns: those of its first line, or numbers where that is data, as in import."""
    first = [cell.strip() for cell in lines[0][1]]
    names = column_names(first)
    while names and not any(cells[len(names) - 1].strip() for _, cells in lines if len(cells) >= len(names)):
        names.pop()  # behind the last separator of each line there is nothing
    if any(name in wanted.readers for name in names) or not wanted.numbered():
        return names
    head = [[cell.strip() for cell in cells] for _, cells in lines[:SAMPLE_LINES]]
    data = has_no_header(head) or any(map(looks_like_number, first))
    return numbered_names(len(names)) if data else names
