"""Reads rows for prediction from CSV and JSON files, with cells read in the same way as the training data.

This module is copied into exported networks. The encoders of the fitted fields read the cells.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netloom.data.dialect import (
    LATIN,
    MISSING_MARKS,
    SAMPLE_LINES,
    FileError,
    column_names,
    decode_text,
    has_no_header,
    infer_dialect,
    looks_like_number,
    numbered_names,
    read_records,
    refuse_empty,
    with_tabs,
    without_preamble,
)
from netloom.modalities.encoding.cells import EncodeError, RawRow
from netloom.modalities.encoding.coercion import DATE_FORMS, date_forms, moment, nearest_form, number
from netloom.modalities.encoding.column_encoder import CellReader, ColumnEncoder, CsvColumn
from netloom.modalities.encoding.field_encoder import FieldEncoder, field_encoder, refuse_constant
from netloom.modalities.encoding.rows import Answer

_NUMBERED_NAME = re.compile(r"column \d+")
_MAX_EXAMPLES = 5
_MAX_DEPTH = 3  # of nested objects; deeper ones are cells
_MAX_NAME = 200


@dataclass
class RowFile:
    """The rows of a file.

    Attributes:
        rows: For each row, the values by column.
        unreadable: For each row, the cells that cannot be read as their column's kind and count as missing, by column.
        notes: Sentences on what had to be assumed.
        is_single: Whether the file holds a single row instead of a list.
    """

    rows: list[RawRow]
    unreadable: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_single: bool = False


def read_rows(data: bytes, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    """Read the rows of a file: CSV with a header, or JSON with one row, a list of rows or a row per line.

    In CSV, the cell of an image, a series or a sound holds a JSON list. A file with the columns of a time series, one
    time step per line, is a single row: its last steps.

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
    rows.unreadable = rows.unreadable or [{} for _ in rows.rows]
    return rows


def readable_columns(preprocess: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns that the fields can be read from."""
    steps = [column for field in map(field_encoder, preprocess["fields"]) for column in field.step_columns]
    return [*_required_columns(preprocess).readers, *steps]


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


def _json_rows(text: str, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    try:
        value = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        json_lines = _json_lines(text)
        if json_lines is None:
            raise FileError(f"{name[:100]!r} is not valid JSON: {_json_error(error)}.") from None
        value = json_lines
    rows = value if isinstance(value, list) else [value]
    for position, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise FileError(
                f"A row is an object with a value for each column; row {position} of {name[:100]!r} is not one."
            )
    flat_rows = _with_missing([{**row, **flatten(row)} for row in rows], preprocess)
    return _steps_of_records(flat_rows, name, preprocess) or RowFile(flat_rows, is_single=not isinstance(value, list))


def _with_missing(rows: list[RawRow], preprocess: Mapping[str, Any]) -> list[RawRow]:
    """Return the rows with None in columns and texts that other rows have: a record can leave out what is missing."""
    encoders = [encoder for encoder in map(field_encoder, preprocess["fields"]) if encoder.columns or encoder.is_text]
    columns = [readers for encoder in encoders for readers in encoder.cell_readers]
    names = {name for readers in columns for name in readers}
    available = {name for row in rows for name in row}
    known = [row for row in rows if row.keys() & names]  # a row without any of the names is a mistake
    for readers in columns:
        name = next((name for name in readers if name in available), None)
        for row in known:
            if name is not None and not row.keys() & readers:
                row[name] = None
    return rows


def _steps_of_records(rows: Sequence[RawRow], name: str, preprocess: Mapping[str, Any]) -> RowFile | None:
    """Return the last of several records with a time step each, as of a spreadsheet; None if they are rows."""
    series, *other_fields = map(field_encoder, preprocess["fields"])
    columns = [*series.step_columns, *filter(None, [series.time_column])]
    if other_fields or not series.step_columns or len(rows) < 2:
        return None
    if any(series.name in row for row in rows) or not all({*series.step_columns} <= row.keys() for row in rows):
        return None
    positions = {column: position for position, column in enumerate(columns)}
    cells = [["" if row.get(column) is None else str(row[column]) for column in columns] for row in rows]
    return _forecast_row(series, list(enumerate(cells, 1)), positions, name, ".")


def _json_lines(text: str) -> list[Any] | None:
    """Return the records of JSON Lines; None if the text is something else."""
    try:
        parsed = [json.loads(line, parse_constant=refuse_constant) for line in text.splitlines() if line.strip()]
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


def flatten(record: Mapping[Any, Any], prefix: str = "", depth: int = 1) -> RawRow:
    """Return the values of a record by column; nested objects become columns such as `address.city`."""
    cells: dict[str, Any] = {}
    for name, value in record.items():
        path = f"{prefix}{name}"[:_MAX_NAME]
        if isinstance(value, dict) and value and depth < _MAX_DEPTH:
            cells |= flatten(value, f"{path}.", depth + 1)
        else:
            cells[path] = value
    return cells


def _csv_rows(text: str, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    text = with_tabs(without_preamble(text))
    dialect, required = infer_dialect(text), _required_columns(preprocess)
    try:
        lines = list(read_records(text, dialect))
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
    positions = {column: column_index for column_index, column in enumerate(names)}
    if (series := _series_of_steps(preprocess, positions)) is not None:
        return _forecast_row(series, body, positions, name, dialect.decimal)
    cells_of = {
        column: [_cell_at(cells, positions[column]) for _, cells in body]
        for column in required.names_of_columns(positions, name, body)
    }
    # Columns that the network does not read, such as an id, stay beside the predictions.
    rows = RowFile(
        [{column: _cell_at(cells, column_index) for column, column_index in positions.items()} for _, cells in body],
        [{} for _ in body],
    )
    for column, written in cells_of.items():
        csv_column = CsvColumn(column, list(map(_strip_cell, written)), written, dialect.decimal, rows.unreadable)
        for column_index, value in enumerate(required.readers[column].read(csv_column)):
            rows.rows[column_index][column] = value
    return rows


def _series_of_steps(preprocess: Mapping[str, Any], places: Mapping[str, int]) -> FieldEncoder[Any] | None:
    """Return the only field if it is a series and the file has its channels as columns, with a time step per line.

    Raises:
        EncodeError: The file has neither the field nor all of its channels.
    """
    field, *other_fields = map(field_encoder, preprocess["fields"])
    if other_fields or not field.step_columns or field.name in places:
        return None
    if missing := [column for column in field.step_columns if column not in places]:
        available = ", ".join(map(repr, list(places)[:20]))
        raise EncodeError(
            f"The file has no column {', '.join(map(repr, missing))}; it has {available}. "
            f"It needs the columns of the series with one time step per line, or a column {field.name!r} of JSON lists."
        )
    return field


def _forecast_row(
    series: FieldEncoder[Any],
    lines: Sequence[tuple[int, list[str]]],
    places: Mapping[str, int],
    name: str,
    decimal: str,
) -> RowFile:
    """Return the last of these time steps as a row; `places` are those of the columns in a line."""
    ordered, in_order = _in_order_of_time(lines, places.get(series.time_column), series.time_column, decimal)
    steps = [(line, [_cell_at(cells, places[column]) for column in series.step_columns]) for line, cells in ordered]
    return _last_steps(series, steps, name, decimal, in_order)


def _in_order_of_time(
    lines: Sequence[tuple[int, list[str]]], place: int | None, column: str, decimal: str
) -> tuple[Sequence[tuple[int, list[str]]], str]:
    """Return the lines in the order of their times, as in training, and that order in words.

    Of lines with the same time, the last one is left, and lines without a time are left out. A file without times stays
    in its own order.

    Raises:
        EncodeError: The times are neither numbers nor dates, or days and months cannot be told apart.
    """
    if place is None:
        return lines, "the file"
    cells = {index: plain for index, (_, line) in enumerate(lines) if (plain := _strip_cell(_cell_at(line, place)))}
    times = _times(list(cells.values()), decimal)
    if times is None:
        texts = list(cells.values())
        form = nearest_form(texts, DATE_FORMS)
        odd = next((text for text in texts if moment(text, form) is None and number(text, decimal) is None), texts[0])
        raise EncodeError(
            f"The times in {column!r}, such as {odd[:40]!r}, cannot be put in order; write all of them as 2024-05-31 "
            "or 2024-05-31 14:00."
        )
    if not times:
        return lines, "the file"
    last = dict(zip(times, cells, strict=True))
    return [lines[last[time]] for time in sorted(last)], repr(column)


def _times(cells: Sequence[str], decimal: str) -> list[float] | None:
    """Return cells as numbers, dates as seconds; None if they are neither, or if days and months are ambiguous."""
    numbers = [value for cell in cells if (value := number(cell, decimal)) is not None]
    if len(numbers) == len(cells):
        return numbers
    form, *other_forms = date_forms(cells) or [""]
    if not form or other_forms:
        return None
    return [date.timestamp() for cell in cells if (date := moment(cell, form)) is not None]


def _last_steps(
    series: FieldEncoder[Any],
    lines: Sequence[tuple[int, list[str | None]]],
    name: str,
    decimal: str,
    in_order: str,
) -> RowFile:
    """Return a file with one row, the last time steps, from which a network forecasts those after the end of the file.

    Args:
        in_order: The order of the lines, as the end of a note.

    Raises:
        EncodeError: The file has too few time steps, or one of the last steps lacks a number.
    """
    length = series.shape[0]
    if len(lines) < length:
        raise EncodeError(
            f"{name[:100]!r} has {len(lines):,} time steps, but the network reads {length:,}; add earlier ones."
        )
    last, channels = lines[-length:], []
    for column_index, column in enumerate(series.step_columns):
        written = [cells[column_index] for _, cells in last]
        csv_column = CsvColumn(column, list(map(_strip_cell, written)), written, decimal, [{} for _ in written])
        numbers = list(series.step_reader(column).read(csv_column))
        if None in numbers:
            line, _ = last[numbers.index(None)]
            raise EncodeError(f"Line {line} of {name[:100]!r} has no number in column {column!r}; fill it in.")
        channels.append(numbers)
    note = f"The last {length:,} of {len(lines):,} time steps are the input, in the order of {in_order}."
    return RowFile([{series.name: [list(step) for step in zip(*channels, strict=True)]}], notes=[note])


def _strip_cell(cell: str | None) -> str | None:
    """Return a cell without surrounding blanks; None if it is missing."""
    return None if cell is None or (plain := cell.strip()) in MISSING_MARKS else plain


def _cell_at(cells: Sequence[str], column_index: int) -> str | None:
    """Return a cell of a record; None if the record is shorter."""
    return cells[column_index] if column_index < len(cells) else None


@dataclass
class _RequiredColumns:
    """The columns that the fitted fields need.

    Attributes:
        readers: The reader of the cells of each column that a file may have.
        alternatives: Groups of column names; the file needs one column of each group.
    """

    readers: dict[str, CellReader] = field(default_factory=dict)
    alternatives: list[tuple[str, ...]] = field(default_factory=list)

    def numbered(self) -> bool:
        """Return whether the training file had no header, so that its columns are numbered."""
        return all(any(map(_NUMBERED_NAME.fullmatch, names)) for names in self.alternatives)

    def names_of_columns(self, places: Mapping[str, int], name: str, body: Sequence[Any]) -> list[str]:
        """Return the needed columns that a file has.

        Raises:
            EncodeError: A required column is missing.
        """
        missing = [names[-1] for names in self.alternatives if not places.keys() & names]
        if missing and body:
            listed = ", ".join(map(repr, dict.fromkeys(missing)))
            available = ", ".join(map(repr, list(places)[:20]))
            raise EncodeError(f"{name[:100]!r} has no column {listed}; it has {available}.")
        return [column for column in self.readers if column in places]


def _required_columns(preprocess: Mapping[str, Any]) -> _RequiredColumns:
    required = _RequiredColumns()
    for encoder in map(field_encoder, preprocess["fields"]):
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
    if any(name in required.readers for name in names) or not required.numbered():
        return names
    head = [[cell.strip() for cell in cells] for _, cells in lines[:SAMPLE_LINES]]
    data = has_no_header(head) or any(map(looks_like_number, first))
    return numbered_names(len(names)) if data else names
