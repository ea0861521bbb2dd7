"""Reads files with one time step per line as the rows from which a network forecasts what follows their end.

This module is copied into exported networks.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from netloom.data.dialect import strip_cell
from netloom.data.tables.raw_rows import RowFile
from netloom.modalities.encoding.cells import EncodeError, RawRow
from netloom.modalities.encoding.coercion import DATE_FORMS, date_forms, moment, nearest_form, number
from netloom.modalities.encoding.column_encoder import CsvColumn
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.series_fields import fill_gaps


class TimeSteps:
    """The lines of a file with the columns of a series, one time step each.

    Args:
        series: The encoder of the series.
        lines: The number and the cells of each line; None is a missing cell.
        places: The positions of the columns in a line.
        name: The name of the file.
        decimal: The decimal mark of its numbers.
    """

    def __init__(
        self,
        series: FieldEncoder[Any],
        lines: Sequence[tuple[int, Sequence[str | None]]],
        places: Mapping[str, int],
        name: str,
        decimal: str,
    ) -> None:
        self._series, self._lines, self._places = series, lines, places
        self._name, self._decimal = name[:100], decimal

    def last_windows(self) -> RowFile:
        """Return a row with the last time steps; if the lines belong to several series, one for each of them.

        Raises:
            EncodeError: The file has too few time steps, the times cannot be put in order, or a cell is not a number.
        """
        each, order = self._indices_of_series()
        length = self._series.shape[0]
        long = {key: indices for key, indices in each.items() if len(indices) >= length}
        if not long:
            most = max(map(len, each.values()), default=0)
            count = f"at most {most:,} time steps per series" if len(each) > 1 else f"{most:,} time steps"
            raise EncodeError(f"{self._name!r} has {count}, but the network reads {length:,}; add earlier ones.")
        filled = dict.fromkeys(self._series.step_columns, 0)
        columns = {column: self._numbers(column, long.values()) for column in filled}
        rows = [self._row(key, indices, columns, filled) for key, indices in long.items()]
        notes = self._notes(each, long, order, filled)
        if not self._has_names:
            return RowFile(rows, notes=notes)
        return RowFile(rows, notes=notes, names=list(long), name_column=self._series.series_column)

    @property
    def _has_names(self) -> bool:
        """Whether the lines name their series."""
        return self._series.series_column in self._places

    def _row(
        self, key: str, indices: Sequence[int], columns: Mapping[str, Sequence[float | None]], filled: dict[str, int]
    ) -> RawRow:
        """Return the last steps of a series, and count the missing numbers in them that were `filled`."""
        length = self._series.shape[0]
        known = np.array([[numbers[index] for numbers in columns.values()] for index in indices], dtype=np.float64)
        window = fill_gaps(known)[-length:]
        for channel, column in enumerate(columns):
            if np.isnan(window[:, channel]).any():
                which = f" of the series {key[:60]!r}" if self._has_names else ""
                raise EncodeError(f"{self._name!r} has no numbers in the column {column!r}{which}.")
            filled[column] += int(np.isnan(known[-length:, channel]).sum())
        return {**({self._series.series_column: key} if self._has_names else {}), self._series.name: window.tolist()}

    def _numbers(self, column: str, windows: Any) -> list[float | None]:
        """Return the number in each line; None where it is missing.

        Raises:
            EncodeError: A cell in one of the last steps of a series is not a number.
        """
        written = self._cells(column)
        unreadable: list[dict[str, str]] = [{} for _ in written]
        csv_column = CsvColumn(column, list(map(strip_cell, written)), written, self._decimal, unreadable)
        numbers = list(self._series.step_reader(column).read(csv_column))
        for indices in windows:
            odd = next((index for index in indices[-self._series.shape[0] :] if unreadable[index]), None)
            if odd is not None:
                raise EncodeError(
                    f"Line {self._lines[odd][0]} of {self._name!r} has no number in column {column!r}, but "
                    f"{unreadable[odd][column][:60]!r}; correct it."
                )
        return numbers

    def _indices_of_series(self) -> tuple[dict[str, list[int]], str]:
        """Return the lines of each series in the order of their times, and that order in words.

        As in training, the last of several lines with the same time is left, and lines without a time or the name of a
        series are left out. A file without times stays in its own order.
        """
        names = self._cells(self._series.series_column) if self._has_names else None
        times = self._times()
        each: dict[str, dict[Any, int]] = {}
        for index in range(len(self._lines)):
            key = "" if names is None else strip_cell(names[index])
            time = index if times is None else times[index]
            if key is not None and time is not None:
                each.setdefault(key, {})[time] = index
        order = "the file" if times is None else repr(self._series.time_column)
        return {key: [by_time[time] for time in sorted(by_time)] for key, by_time in each.items()}, order

    def _times(self) -> list[float | None] | None:
        """Return the time of each line, None where it is missing; None if the file has no times.

        Raises:
            EncodeError: The times are neither numbers nor dates, or days and months cannot be told apart.
        """
        column = self._series.time_column
        if column not in self._places:
            return None
        cells = {index: plain for index, cell in enumerate(self._cells(column)) if (plain := strip_cell(cell))}
        texts = list(cells.values())
        times = _parsed_times(texts, self._decimal)
        if times is None:
            form = nearest_form(texts, DATE_FORMS)
            is_odd = (moment(text, form) is None and number(text, self._decimal) is None for text in texts)
            odd = next((text for text, odd in zip(texts, is_odd, strict=True) if odd), texts[0])
            raise EncodeError(
                f"The times in {column!r}, such as {odd[:40]!r}, cannot be put in order; write all of them as "
                "2024-05-31 or 2024-05-31 14:00."
            )
        by_line = dict(zip(cells, times, strict=True))
        return [by_line.get(index) for index in range(len(self._lines))] if times else None

    def _cells(self, column: str) -> list[str | None]:
        place = self._places[column]
        return [cells[place] if place < len(cells) else None for _, cells in self._lines]

    def _notes(
        self, each: Mapping[str, Sequence[int]], long: Mapping[str, Any], order: str, filled: Mapping[str, int]
    ) -> list[str]:
        length, steps = self._series.shape[0], sum(map(len, each.values()))
        which = f"The last {length:,} of {steps:,} time steps"
        if len(each) > 1:
            which = f"The last {length:,} time steps of each of {len(long):,} series in {self._series.series_column!r}"
        notes = [f"{which} are the input, in the order of {order}."]
        if short := [key for key in each if key not in long]:
            notes.append(f"Left out {len(short):,} series with fewer than {length:,} time steps, such as {short[0]!r}.")
        return notes + [
            f"{count:,} missing value{'s' * (count > 1)} of {column!r} in these steps {'are' if count > 1 else 'is'} "
            "filled with the last value before, as in training."
            for column, count in filled.items()
            if count
        ]


def missing_columns(series: FieldEncoder[Any], available: Collection[str]) -> list[str]:
    """Return the columns of a series that a file lacks."""
    return [column for column in series.step_columns if column not in available]


def refuse_missing(series: FieldEncoder[Any], available: Collection[str]) -> None:
    """Refuse a file that lacks columns of a series.

    Raises:
        EncodeError: it does.
    """
    if missing := missing_columns(series, available):
        names = ", ".join(map(repr, list(available)[:20]))
        lacks = f"no column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}"
        raise EncodeError(
            f"The file has {lacks}; it has {names}. It needs the columns of the series with one time step per line, "
            f"or a column {series.name!r} of JSON lists."
        )


def is_window(value: Any) -> bool:
    """Return whether a value is a whole window of a series, as a list or its JSON, and not a name or number."""
    if isinstance(value, str):
        return value.strip()[:1] == "["
    return value is not None and not isinstance(value, (int, float))


def _parsed_times(cells: Sequence[str], decimal: str) -> list[float] | None:
    """Return cells as numbers, dates as seconds; None if they are neither, or if days and months are ambiguous."""
    numbers = [value for cell in cells if (value := number(cell, decimal)) is not None]
    if len(numbers) == len(cells):
        return numbers
    form, *other_forms = date_forms(cells) or [""]
    if not form or other_forms:
        return None
    return [date.timestamp() for cell in cells if (date := moment(cell, form)) is not None]
