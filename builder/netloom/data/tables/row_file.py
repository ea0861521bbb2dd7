"""Reads rows for prediction from CSV and JSON files, with cells read in the same way as the training data.

This module is copied into exported networks. The encoders of the fitted fields read the cells.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile
from typing import Any

from netloom.data.dialect import (
    LATIN,
    SAMPLE_LINES,
    FileError,
    column_names,
    decode_text,
    has_no_header,
    infer_dialect,
    is_numbered_name,
    looks_like_number,
    numbered_names,
    read_records,
    refuse_empty,
    strip_cell,
    text_lines,
    with_tabs,
    without_preamble,
)
from netloom.data.tables.raw_rows import RowFile
from netloom.data.tables.record_reader import RecordReader
from netloom.data.tables.time_steps import TimeSteps, is_window, missing_columns, refuse_missing
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.encoding.column_encoder import CellReader, CsvColumn
from netloom.modalities.encoding.field_encoder import FieldEncoder, field_encoder


def read_rows(data: bytes, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    """Read the rows of a file: CSV with a header, or JSON with one row, a list of rows or a row per line.

    In CSV, the cell of an image, a series or a sound holds a JSON list. A file with the columns of a time series, one
    time step per line, is a single row: its last steps; if they belong to several series, it has a row for each.

    Raises:
        FileError: The file cannot be read; the message is one sentence.
        EncodeError: A required column is missing, or a cell holds what the import refuses.
    """
    text, encoding = decode_text(data, name)
    refuse_empty(text, name)
    lowered = name.lower()
    as_csv = not lowered.endswith((".json", ".jsonl")) and text.lstrip()[:1] not in "[{"
    # The ending .csv counts more than the first character, because a cell can begin with a bracket.
    rows = (
        _csv_rows(text, name, preprocess)
        if as_csv or lowered.endswith((".csv", ".tsv"))
        else _json_rows(text, name, preprocess)
    )
    if encoding == LATIN:
        rows.notes.append(f"{name[:100]!r} is not UTF-8 and was read as Windows-1252.")
    if not rows.rows:
        raise FileError(f"{name[:100]!r} has no rows.")
    return rows


def readable_columns(preprocess: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns that the fields can be read from."""
    steps = [column for field in map(field_encoder, preprocess["fields"]) for column in field.step_columns]
    return [*_required_columns(preprocess).readers, *steps]


def _json_rows(text: str, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    try:
        records = _json(text)
    except (ValueError, RecursionError) as error:
        records = _json_lines(text)
        if records is None:
            raise FileError(f"{name[:100]!r} is not valid JSON: {_json_error(error)}.") from None
    return RecordReader(list(map(field_encoder, preprocess["fields"]))).read(records, name)


def _json(text: str) -> Any:
    """Return a JSON value. NaN, which Python and pandas write for missing numbers, is read as in the import."""
    return json.loads(text, parse_constant=float)


def _json_lines(text: str) -> list[Any] | None:
    """Return the records of JSON Lines; None if the text is something else."""
    try:
        parsed = [_json(line) for line in text_lines(text) if line.strip()]
    except (ValueError, RecursionError):
        return None
    return parsed if len(parsed) > 1 and all(isinstance(row, dict) for row in parsed) else None


def _json_error(error: Exception) -> str:
    """Return the position and the reason of a JSON error."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    if "set_int_max_str_digits" in str(error):
        return "a whole number in it has too many digits"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:150]


def _csv_rows(text: str, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    text = with_tabs(without_preamble(text))
    dialect, required = infer_dialect(text), _required_columns(preprocess)
    try:
        records = read_records(text, dialect, quoted_blank=True)
        lines = list(dropwhile(lambda record: not any(record[1]), records))
    except csv.Error as error:
        raise FileError(f"{name[:100]!r} cannot be read as CSV: {error}.") from None
    if not lines:  # such as a pair of quotes
        raise FileError(f"{name[:100]!r} has no rows.")
    names = _header(lines, required)
    body = lines if names == numbered_names(len(names)) and column_names(lines[0][1]) != names else lines[1:]
    for line, cells in body:
        if any(map(str.strip, cells[len(names) :])):
            raise FileError(
                f"{name[:100]!r} cannot be read as CSV: line {line} has {len(cells)} cells where {len(names)} were "
                "expected; put quotes around text that holds the separator."
            )
    names, body = _with_joined(preprocess, names, body, dialect.decimal)
    positions = {column: column_index for column_index, column in enumerate(names)}
    if (series := _series_of_steps(preprocess, positions, body)) is not None:
        return TimeSteps(series, body, positions, name, dialect.decimal).last_windows()
    cells_of = {
        column: [_cell_at(cells, positions[column]) for _, cells in body]
        for column in required.names_of_columns(positions, name, body)
    }
    # Columns that the network does not read, such as an id, stay beside the predictions.
    rows = RowFile(
        [{column: _cell_at(cells, column_index) for column, column_index in positions.items()} for _, cells in body]
    )
    for column, written in cells_of.items():
        csv_column = CsvColumn(column, list(map(strip_cell, written)), written, dialect.decimal, rows.unreadable)
        for column_index, value in enumerate(required.readers[column].read(csv_column)):
            rows.rows[column_index][column] = value
    return rows


def _with_joined(
    preprocess: Mapping[str, Any], names: list[str], body: list[tuple[int, list[str]]], decimal: str
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the columns of a file and its lines, with fields in place of the columns that hold parts of them."""
    for encoder in map(field_encoder, preprocess["fields"]):
        if encoder.name in names or not encoder.can_be_joined:
            continue
        lines = [[(strip_cell(cell) or "").replace(decimal, ".") for cell in line] for _, line in body]
        columns, joined = encoder.joined_cells(names, lines)
        if columns:
            remaining = [place for place, name in enumerate(names) if name not in columns]
            names = [*(names[place] for place in remaining), encoder.name]
            body = [
                (number, [*(_cell_at(line, place) or "" for place in remaining), cell])
                for (number, line), cell in zip(body, joined, strict=True)
            ]
    return names, body


def _series_of_steps(
    preprocess: Mapping[str, Any], places: Mapping[str, int], body: Sequence[tuple[int, list[str]]]
) -> FieldEncoder[Any] | None:
    """Return the only field if it is a series and the file has its channels as columns, with a time step per line.

    Raises:
        EncodeError: The file has neither the field nor all of its channels.
    """
    field, *other_fields = map(field_encoder, preprocess["fields"])
    if other_fields or not field.step_columns:
        return None
    if field.name in places:
        first = _cell_at(body[0][1], places[field.name]) if body else None
        if is_window(first) or missing_columns(field, places):
            return None
    refuse_missing(field, places)
    return field


def _cell_at(cells: Sequence[str], column_index: int) -> str | None:
    """Return a cell of a record; None if the record is shorter."""
    return cells[column_index] if column_index < len(cells) else None


@dataclass
class _RequiredColumns:
    """The columns that the fitted fields need.

    Attributes:
        readers: The reader of the cells of each column that a file may have.
        alternatives: Groups of column names; the file needs one column of each group.
        are_texts: Whether all fields are texts.
        takes_unnamed_numbers: Whether a field can be read from lines of numbers without a header.
    """

    readers: dict[str, CellReader] = field(default_factory=dict)
    alternatives: list[tuple[str, ...]] = field(default_factory=list)
    are_texts: bool = False
    takes_unnamed_numbers: bool = False

    def numbered(self) -> bool:
        """Return whether the training file had no header, so that its columns are numbered."""
        return all(any(map(is_numbered_name, names)) for names in self.alternatives)

    def names_of_columns(self, places: Mapping[str, int], name: str, body: Sequence[Any]) -> list[str]:
        """Return the needed columns that a file has.

        Raises:
            EncodeError: A required column is missing.
        """
        missing = [names[-1] for names in self.alternatives if not places.keys() & names]
        if missing and body:
            needed = dict.fromkeys(missing)
            listed = ", ".join(map(repr, needed))
            available = ", ".join(map(repr, list(places)[:20]))
            hint = f" Write {listed} as the first line if each line is a text." if self.are_texts else ""
            raise EncodeError(
                f"{name[:100]!r} has no column{'s' * (len(needed) > 1)} {listed}; it has {available}.{hint}"
            )
        return [column for column in self.readers if column in places]


def _required_columns(preprocess: Mapping[str, Any]) -> _RequiredColumns:
    required = _RequiredColumns()
    encoders = [*map(field_encoder, preprocess["fields"])]
    required.are_texts = all(encoder.is_text for encoder in encoders if encoder.is_required)
    required.takes_unnamed_numbers = any(encoder.takes_unnamed_numbers for encoder in encoders)
    for encoder in encoders:
        for readers in encoder.cell_readers:
            required.readers |= readers
            if encoder.is_required:
                required.alternatives.append(tuple(readers))
    return required


def _header(lines: Sequence[tuple[int, list[str]]], required: _RequiredColumns) -> list[str]:
    """Return the column names of a file: its first line, or numbers if that line is data, as in the training file."""
    first = [cell.strip() for cell in lines[0][1]]
    names = column_names(first)
    while names and not any(cells[len(names) - 1].strip() for _, cells in lines if len(cells) >= len(names)):
        names.pop()  # each line ends with a separator
    if any(name in required.readers for name in names):
        return names
    known = [cell for cell in first[: len(names)] if strip_cell(cell) is not None]
    if required.takes_unnamed_numbers and known and all(map(looks_like_number, known)):
        return numbered_names(len(names))
    if not required.numbered():
        return names
    head = [[cell.strip() for cell in cells] for _, cells in lines[:SAMPLE_LINES]]
    data = has_no_header(head) or any(map(looks_like_number, first))
    return numbered_names(len(names)) if data else names
