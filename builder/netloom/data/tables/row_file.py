"""Rows to predict for, from a CSV or JSON file, with each cell read as the import of the training data read it.

It travels with an exported network. Of a column, `preprocess` says how its cells are to be read: as numbers, dates, yes
and no, or categories.
"""

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from netloom.data.preparation.encode import EncodeError, boolean, category, numeral
from netloom.data.tables.coercion import DATE_FORMS, LARGEST, date_forms, is_grouped, is_nothing, moment, number
from netloom.data.tables.dialect import (
    LATIN,
    MISSING_MARKS,
    SAMPLE_LINES,
    Dialect,
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

LISTS = ("image", "series", "log_mel")  # encodings of which a cell holds a list, as JSON
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
    """Of each row, the categories that training did not have, by column. The network sees them all alike."""
    columns = [
        (column, set(column["values"]))
        for one in preprocess["fields"]
        if one["encoding"] in ("table", "categories")
        for column in one["columns"]
        if "values" in column
    ]
    found: list[dict[str, str]] = []
    for row in rows:
        texts = [(column["name"], category(column, row.get(column["name"])), values) for column, values in columns]
        found.append({name: text for name, text, values in texts if text and text not in values})
    return found


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
        value = json.loads(text, parse_constant=_refuse_constant)
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
        found = [json.loads(line, parse_constant=_refuse_constant) for line in text.splitlines() if line.strip()]
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


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


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
    for column, held in cells_of.items():
        for place, value in enumerate(_column_values(wanted.columns[column], held, dialect, found.unreadable)):
            found.rows[place][column] = value
    return found


def _cell_at(cells: Sequence[str], place: int) -> str | None:
    """A cell of a record; None where the record ends before."""
    return cells[place] if place < len(cells) else None


@dataclass
class _Wanted:
    """The columns that the fields are made of: what is fitted for each name that a file may give, and the groups of
    names one of which has to be there."""

    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
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
        return [column for column in self.columns if column in places]


def _wanted_columns(preprocess: Mapping[str, Any]) -> _Wanted:
    found = _Wanted()
    for one in preprocess["fields"]:
        if one["encoding"] in ("table", "categories"):
            for column in one["columns"]:
                names = (column["name"], *([column["date"]] if "date" in column else []))
                # The parts of a date are numbers; the column that they are made from holds dates.
                found.columns[column["name"]] = {key: value for key, value in column.items() if key != "date"}
                if "date" in column:
                    found.columns[column["date"]] = {"name": column["date"], "type": "date", "form": column.get("form")}
                found.any_of.append(names)
        else:
            names = tuple(dict.fromkeys((one["name"], one.get("column", one["name"]))))
            kind = "parted" if one.get("parted") else one["encoding"]
            # The texts of a table were read from cells; all others are taken letter by letter.
            verbatim = "column" not in one and kind not in (*LISTS, "parted")
            found.columns |= {name: {"name": name, "type": kind, "verbatim": verbatim} for name in names}
            if one["encoding"] != "begun":
                found.any_of.append(names)
    return found


def _header(lines: Sequence[tuple[int, list[str]]], wanted: _Wanted) -> list[str]:
    """The names of a file's columns: those of its first line, or numbers where that is data, as in import."""
    first = [cell.strip() for cell in lines[0][1]]
    names = column_names(first)
    while names and not any(cells[len(names) - 1].strip() for _, cells in lines if len(cells) >= len(names)):
        names.pop()  # behind the last separator of each line there is nothing
    if any(name in wanted.columns for name in names) or not wanted.numbered():
        return names
    head = [[cell.strip() for cell in cells] for _, cells in lines[:SAMPLE_LINES]]
    data = has_no_header(head) or any(map(looks_like_number, first))
    return numbered_names(len(names)) if data else names


def _column_values(
    column: Mapping[str, Any], cells: list[str | None], dialect: Dialect, unreadable: list[dict[str, str]]
) -> Iterable[Any]:
    """A column's cells as values that `encode_rows` takes; what cannot be read is missing, and is noted by row."""
    kind = column.get("type", "category")
    if column.get("verbatim"):
        return ["" if cell is None else cell for cell in cells]
    cells = [None if cell is None or (plain := cell.strip()) in MISSING_MARKS else plain for cell in cells]
    if kind in LISTS:
        return [_list_of(cell, column["name"]) for cell in cells]
    known = [cell for cell in cells if cell is not None]
    if kind == "number":
        grouped = bool(column.get("grouped")) or is_grouped(known, dialect.decimal)
        if column.get("boolean"):
            return [_boolean_of(cell, column["name"], dialect.decimal) for cell in cells]
        if known and all(number(cell, dialect.decimal, grouped) is None for cell in known if not is_nothing(cell)):
            _refuse_other(column, known, "numbers")
        return _with_unreadable(
            column, cells, [_number_of(cell, dialect.decimal, grouped) for cell in cells], unreadable
        )
    if kind == "date":
        form = str(column.get("form") or DATE_FORMS[0])
        dates = [_date_of(cell, form) for cell in cells]
        if any(date is None and not is_nothing(cell) for date, cell in zip(dates, cells, strict=True)):
            form = _date_form(column, [cell for cell in known if not is_nothing(cell)])
            dates = [_date_of(cell, form) for cell in cells]
        if not any(dates):
            _refuse_other(column, known, "dates such as 2024-05-31")
        return _with_unreadable(column, cells, dates, unreadable)
    if kind in ("category", "hash"):
        return [_category_of(column, cell, dialect.decimal) for cell in cells]
    texts = ["" if cell is None else cell for cell in cells]
    return map(_words_of, texts) if kind == "parted" else texts


def _refuse_other(column: Mapping[str, Any], cells: Sequence[str], what: str) -> None:
    """Raises:
    EncodeError: a column holds something, but nothing of its kind, so it is another one than that of training.
    """
    wrong = next((cell for cell in cells if not is_nothing(cell)), None)
    if wrong is not None:
        raise EncodeError(f"The column {column['name']!r} takes {what}, received {wrong[:60]!r}.")


def _with_unreadable(
    column: Mapping[str, Any], cells: list[str | None], values: list[Any], unreadable: list[dict[str, str]]
) -> list[Any]:
    """The values, the cells of which none was made noted by row."""
    for place, (cell, value) in enumerate(zip(cells, values, strict=True)):
        if value is None and cell is not None and not is_nothing(cell):
            unreadable[place][column["name"]] = cell
    return values


def _number_of(cell: str | None, decimal: str, grouped: bool) -> float | None:
    """A cell's number; None where it is missing, cannot be read, or is far too large, as import has it."""
    if cell is None or is_nothing(cell):
        return None
    found = number(cell, decimal, grouped)
    return None if found is None or math.isinf(found) or abs(found) > LARGEST else found


def _boolean_of(cell: str | None, name: str, decimal: str) -> float | None:
    if cell is None or is_nothing(cell):
        return None
    found = number(cell, decimal)
    return boolean(cell if found is None else found, name)


def _date_of(cell: str | None, form: str) -> str | None:
    found = None if cell is None or is_nothing(cell) else moment(cell, form)
    return None if found is None else found.isoformat()


def _date_form(column: Mapping[str, Any], cells: list[str]) -> str:
    """The form that a column's dates are written in: that of training where it fits, else the only one that does.

    Raises:
        EncodeError: they can be read in several ways, or one by one alone.
    """
    fits, known = date_forms(cells), str(column.get("form") or DATE_FORMS[0])
    if known in fits or not cells:
        return known
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise EncodeError(
            f"The dates of the column {column['name']!r} can be read in two ways, such as {cells[0][:40]!r}; write "
            "them as 2024-05-31."
        )
    return max((known, *DATE_FORMS), key=lambda form: sum(moment(cell, form) is not None for cell in cells))


def _category_of(column: Mapping[str, Any], cell: str | None, decimal: str) -> str | None:
    """A category as import names it: numbers in one way, whatever their decimal mark."""
    if cell is None:
        return None
    if column.get("numeric"):
        found = number(cell, decimal, grouped=True)
        return cell if found is None or math.isinf(found) else numeral(repr(found))
    return cell


def _words_of(cell: str) -> str | list[str]:
    """The words of a text that is written as a JSON list of them; else the text."""
    with suppress(ValueError, RecursionError):
        found = json.loads(cell) if cell[:1] == "[" else None
        if isinstance(found, list) and all(isinstance(word, str) for word in found):
            return found
    return cell


def _list_of(cell: str | None, name: str) -> Any:
    try:
        return json.loads(cell or "", parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise EncodeError(f"A cell of {name!r} does not hold a list of numbers in JSON.") from None
