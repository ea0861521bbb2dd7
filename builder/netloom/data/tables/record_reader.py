"""Reads records, such as the rows of a JSON file or request, with their texts read like the cells of the training data.

This module is copied into exported networks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.data.dialect import FileError, strip_cell
from netloom.data.tables.raw_rows import RowFile
from netloom.data.tables.time_steps import TimeSteps, is_window, refuse_missing
from netloom.modalities.encoding.cells import EncodeError, RawRow
from netloom.modalities.encoding.coercion import LARGEST
from netloom.modalities.encoding.column_encoder import CellReader, CsvColumn
from netloom.modalities.encoding.field_encoder import FieldEncoder

_MAX_DEPTH = 3  # of nested objects; deeper ones are cells
_MAX_NAME = 200


class RecordReader:
    """Reads records as rows for the given fields. Those of a model server, a JSON file and a spreadsheet are equal."""

    def __init__(self, encoders: Sequence[FieldEncoder[Any]]) -> None:
        columns = [readers for encoder in encoders if encoder.columns for readers in encoder.cell_readers]
        texts = [readers for encoder in encoders if encoder.is_text for readers in encoder.cell_readers]
        self._alternatives: list[Mapping[str, CellReader]] = [*columns, *texts]
        self._names = {name for readers in self._alternatives for name in readers}
        self._single = {next(iter(readers)) for readers in self._alternatives if len(readers) == 1}
        self._readers = {name: reader for readers in columns for name, reader in readers.items()}
        # Fields that columns can hold in parts, such as the pixels of an image
        self._joinable = [encoder for encoder in encoders if encoder.can_be_joined]
        self._series = encoders[0] if len(encoders) == 1 and encoders[0].step_columns else None
        fields = {name for encoder in encoders for readers in encoder.cell_readers for name in readers}
        self._known = fields.union(*(encoder.step_columns for encoder in encoders))
        self._scalars = {
            column.name for encoder in encoders for column in encoder.columns if not column.takes_lists
        }.union(*(encoder.step_columns for encoder in encoders))

    def read(self, records: Any, name: str = "body") -> RowFile:
        """Return a record, or a list of them, as rows. Records with one time step of a series each are a single row.

        A list can also be within an object, or be columns by name, as in the import.

        Raises:
            FileError: A record is not an object.
            EncodeError: The time steps of a series cannot be read.
        """
        content = self._within(records)
        values = content if isinstance(content, list) else [content]
        for position, record in enumerate(values, 1):
            if not isinstance(record, Mapping):
                raise FileError(
                    f"A row is an object with a value for each column; row {position} of {name[:100]!r} is not one."
                )
        rows = [self._by_column(record) for record in values]
        self._mark_missing(rows)
        if (steps := self._time_steps(rows, name)) is not None:
            return steps
        self._join(rows)
        file = RowFile(rows, is_single=not isinstance(content, list))
        written = {name for row in rows for name, value in row.items() if _is_written(value)}
        for column, reader in self._readers.items():
            if column in written:
                _read_written(file, column, reader)
        return file

    def _within(self, value: Any) -> Any:
        """Return the list of records in a JSON value: lists of them under some names, records by a key, the layouts of
        pandas, columns by name, or lists of cells, whose columns are numbered; a record itself."""
        if not isinstance(value, Mapping):
            return _numbered(value) if any(map(str.isdecimal, self._known)) else value
        if self._known.isdisjoint(_flat(value)):
            return _wrapped(value)
        columns = list(value.values())
        if set(map(type, columns)) != {list} or len(set(map(len, columns))) != 1 or self._scalars.isdisjoint(value):
            return value
        return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]

    def _by_column(self, record: Mapping[str, Any]) -> RawRow:
        """Return a record with its nested values by column, and without blanks around the names, as in the import."""
        row = {**record, **_flat(record)}
        for name in row.keys() - self._known:
            if name.strip() in self._known:
                row.setdefault(name.strip(), row[name])
        return row

    def _mark_missing(self, rows: Sequence[RawRow]) -> None:
        """Add None for columns and texts that other rows have: a record can leave out what is missing."""
        if len(rows) < 2 or not self._names:
            return
        available = {name for row in rows for name in row}
        known = [row for row in rows if row.keys() & self._names]  # a row without any of the names is a mistake
        incomplete = [row for row in known if not row.keys() >= self._single]
        for readers in self._alternatives:
            name = next((name for name in readers if name in available), None)
            for row in incomplete if len(readers) == 1 else known:
                if name is not None and row.keys().isdisjoint(readers):
                    row[name] = None

    def _join(self, rows: Sequence[RawRow]) -> None:
        """Put fields in place of the columns that hold parts of them, as in CSV files."""
        for encoder in self._joinable:
            if any(encoder.name in row or encoder.source_column in row for row in rows):
                continue
            names = list(dict.fromkeys(name for row in rows for name in row))
            lines = [[_as_part(row.get(name)) for name in names] for row in rows]
            columns, cells = encoder.joined_cells(names, lines)
            if not columns:
                continue
            values = encoder.cell_reader.read(CsvColumn(encoder.name, [*cells], [*cells], ".", [{} for _ in rows]))
            for row, value in zip(rows, values, strict=True):
                for column in columns:
                    row.pop(column, None)
                row[encoder.name] = value

    def _time_steps(self, rows: Sequence[RawRow], name: str) -> RowFile | None:
        """Return the last of several records with a time step each, as of a spreadsheet; None if they are rows."""
        series = self._series
        if series is None or len(rows) < 2 or any(is_window(row.get(series.name)) for row in rows):
            return None
        available = dict.fromkeys(column for row in rows for column in row)
        if not available.keys() & series.step_columns:
            return None
        refuse_missing(series, available)
        columns = [*series.step_columns, *filter(available.__contains__, (series.time_column, series.series_column))]
        cells = [[_as_cell(row.get(column)) for column in columns] for row in rows]
        places = {column: position for position, column in enumerate(columns)}
        return TimeSteps(series, list(enumerate(cells, 1)), places, name, ".").last_windows()


def pandas_records(value: Mapping[str, Any]) -> list[RawRow] | None:
    """Return the records of a table as `DataFrame.to_json` writes it: the names beside the rows (`split`), or columns
    by name with their cells by row number (`columns`); None for other objects."""
    names, rows = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(rows, list):
        if all(isinstance(cells, list) and len(cells) == len(names) for cells in rows):
            return [dict(zip(map(str, names), cells, strict=True)) for cells in rows]
        return None
    columns = list(value.values())
    if not _are_records(columns) or all(map(str.isdecimal, value)):
        return None
    indices = list(columns[0])
    if not indices or not all(map(str.isdecimal, indices)) or any(list(column) != indices for column in columns):
        return None
    if _are_records(list(columns[0].values())):  # records by number, such as those of the parts of a split
        return None
    return [{name: column[index] for name, column in value.items()} for index in indices]


def _wrapped(value: Mapping[str, Any]) -> Any:
    """Return the records in an object that is not one; the object if there are none."""
    if (records := pandas_records(value)) is not None:
        return records
    lists = [part for part in value.values() if isinstance(part, list) and _are_records(part)]
    if lists:  # such as the parts of a split
        return [record for part in lists for record in part]
    parts = list(value.values())
    if not _are_records(parts):
        return value
    numbered = [record for part in parts for name, record in part.items() if name.isdecimal()]
    is_numbered = len(numbered) == sum(map(len, parts)) and _are_records(numbered)
    return numbered if is_numbered else parts


def _numbered(value: Any) -> Any:
    """Return lists of cells as records with numbered columns; other values unchanged."""
    if not isinstance(value, list) or not value or not all(isinstance(cells, list) for cells in value):
        return value
    return [{str(number): cell for number, cell in enumerate(cells, 1)} for cells in value]


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


def _flat(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record with its nested values by column; most have none."""
    return flatten(record) if dict in set(map(type, record.values())) else record


def _are_records(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, Mapping) for value in values)


def _read_written(file: RowFile, column: str, reader: CellReader) -> None:
    """Read the written values of a column as its reader reads a CSV file.

    A column that the reader refuses stays as it is: encoding refuses its first wrong row, by its number.
    """
    values = [row.get(column) for row in file.rows]
    is_written = list(map(_is_written, values))
    written = [_as_cell(value) for value in values]
    unreadable: list[dict[str, str]] = [{} for _ in values]
    try:
        cells = list(reader.read(CsvColumn(column, list(map(strip_cell, written)), written, ".", unreadable)))
    except EncodeError:
        return
    for index, row in enumerate(file.rows):
        if is_written[index]:
            row[column] = cells[index]
            file.unreadable[index] |= unreadable[index]


def _is_written(value: Any) -> bool:
    """Return whether a value is a text, or a number that the import takes as missing."""
    kind = type(value)
    return kind is str or ((kind is float or kind is int) and not -LARGEST <= value <= LARGEST)


def _as_part(value: Any) -> str:
    """Return the cell of a part of a field, without the decimals of whole numbers."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else _as_cell(value) or ""


def _as_cell(value: Any) -> str | None:
    """Return a value as the text of a cell; None if it is missing."""
    return None if value is None or value != value else str(value)
