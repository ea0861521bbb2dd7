"""Tables as JSON: one record per line, a list of records, or columns by name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netloom.core.errors import DataError
from netloom.core.text import no_json
from netloom.data.dialect import text_lines
from netloom.data.limits import MAX_CELLS, MAX_COLUMNS, MAX_ROWS
from netloom.data.splits.given_splits import NAMES, is_split, part_in
from netloom.data.tables.chat_records import CHAT_NOTE, chat_pairs
from netloom.data.tables.intents_json import example_intents, responses_note, text_records
from netloom.data.tables.rasa import entities_note, rasa_records
from netloom.data.tables.record_reader import flatten, pandas_records
from netloom.modalities.columns.column_kind import free_name
from netloom.modalities.encoding.cells import RawRow

if TYPE_CHECKING:
    import pandas as pd

SPLIT = "split"  # the column that names the part of a record, in a file that has a list of records for each part
NOTES = "notes"  # the key in `attrs` of a table under which it holds sentences on what was left out
JSON_START = re.compile(r'\s*(\{\s*["}]|\[\s*[\[{])')


def json_table(text: str, filename: str) -> pd.DataFrame | None:
    """Return the table in a JSON text; None if it is not JSON. Nested objects become columns such as `address.city`.

    Raises:
        DataError: The text is JSON, but not a table, or is broken.
    """
    if not JSON_START.match(text):
        return None
    parsed, notes = _parse_lines(text), list[str]()
    if parsed is None:
        try:
            value = json.loads(text, parse_constant=constant_as_missing)
            _refuse_paragraphs(value, filename)
            intents = example_intents(value)
            parsed = text_records(intents) or rasa_records(value) or _records_of(value, filename)
            notes = [*responses_note(intents), *entities_note(value)]
        except (ValueError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{filename[:100]!r} begins like JSON, but cannot be parsed: {_syntax_error(text, error)}; fix it "
                "there, or save it again."
            ) from None
    if pairs := chat_pairs(parsed):
        parsed, notes = pairs, [CHAT_NOTE]
    if len(parsed) > MAX_ROWS:
        raise DataError(f"{filename[:100]!r} has {len(parsed):,} records; at most {MAX_ROWS:,} can be read.")
    table = _table(parsed, filename)
    table.attrs[NOTES] = notes
    return table


def _refuse_paragraphs(value: Any, filename: str) -> None:
    """Refuse questions about paragraphs, as in SQuAD.

    Raises:
        DataError: The JSON value holds such questions.
    """
    records = value.get("data") if isinstance(value, dict) else value
    if isinstance(records, list) and records and isinstance(records[0], dict) and "paragraphs" in records[0]:
        raise DataError(
            f"{filename[:100]!r} has questions about paragraphs, as in SQuAD; parts of a text cannot be predicted as "
            "answers. Save a table with a column of questions and one of answers to generate these."
        )


def constant_as_missing(name: str) -> None:
    """Return None, so that Infinity and NaN, which JSON does not have, are missing values."""


def _parse_lines(text: str) -> list[Any] | None:
    """Return the records of JSON Lines; None if the text is something else."""
    parsed = []
    for line in text_lines(text):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_constant=constant_as_missing)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        parsed.append(value)
    # A single record can also be a table as columns by name
    return parsed if len(parsed) > 1 else None


def _syntax_error(text: str, error: Exception) -> str:
    """Return where a text stops being JSON: the first broken line after a record, else the parser's reason."""
    lines = [(number, line) for number, line in enumerate(text_lines(text), 1) if line.strip()]
    for index, (number, line) in enumerate(lines):
        try:
            is_record = isinstance(json.loads(line, parse_constant=constant_as_missing), dict)
        except (ValueError, RecursionError):
            is_record = False
        if not is_record:
            if not index:
                break
            return f"line {number:,} is not a complete record, {line.strip()[:60]!r}"
    return no_json(error)


def _records_of(value: Any, filename: str) -> list[Any]:
    """Return the records of a JSON value: a list of records, such a list under some name, or columns by name."""
    if isinstance(value, list):
        if value and isinstance(value[0], list):
            return [dict(enumerate(row, 1)) if isinstance(row, list) else row for row in value]
        return value
    if isinstance(value, dict):
        if records := pandas_records(value):
            return records
        if parts := _parts_of(value):
            return _records_of_parts(parts, filename)
        lists = {str(name): item for name, item in value.items() if isinstance(item, list) and item}
        if len(lists) == 1 and isinstance(next(iter(lists.values()))[0], dict):
            return next(iter(lists.values()))
        if lists and len(lists) == len(value) and len({len(item) for item in lists.values()}) == 1:
            return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
        if value and all(isinstance(item, dict) for item in value.values()):
            return list(value.values())
        tables = [item for item in value.values() if isinstance(item, dict) and _parts_of(item)]
        if len(tables) == 1:  # beside facts such as a version
            return _records_of(tables[0], filename)
    raise DataError(
        f"{filename[:100]!r} is JSON, but not a table; expected one record per line, or a list of records such as "
        '[{"height": 1.5, "kind": "a"}, …].'
    )


def _parts_of(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the parts of a split and their records if the names of an object are parts, such as train; [] if not.

    Several names can be one part, such as train and oos_train. Facts beside them, such as a version, are ignored.
    """
    parts = [(part_in(str(name)), item) for name, item in value.items() if isinstance(item, (list, dict))]
    if not is_split(part for part, _ in parts) or not all(_has_records(item) for _, item in parts):
        return []
    return [(NAMES[part], item) for part, item in parts if part is not None]


def _has_records(value: Any) -> bool:
    return bool(value) and (isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], (dict, list))))


def _records_of_parts(parts: list[tuple[str, Any]], filename: str) -> list[Any]:
    """Return the records of all parts, each with the name of its part."""
    records = [(part, record) for part, value in parts for record in _records_of(value, filename)]
    names = {name for _, record in records if isinstance(record, dict) for name in record}
    column = free_name(SPLIT, names)
    return [{**record, column: part} if isinstance(record, dict) else record for part, record in records]


def _table(parsed: list[Any], filename: str) -> pd.DataFrame:
    import pandas as pd

    rows: list[RawRow] = []
    names: dict[str, None] = {}
    for number, record in enumerate(parsed, 1):
        if not isinstance(record, dict):
            raise DataError(
                f"Record {number:,} of {filename[:100]!r} is not an object with names and values, but "
                f"{str(record)[:40]!r}."
            )
        row = cells_of(record)
        names.update(dict.fromkeys(row))
        rows.append(row)
        if len(names) > MAX_COLUMNS or len(names) * len(parsed) > MAX_CELLS:
            raise DataError(f"{filename[:100]!r} has more than {MAX_COLUMNS:,} different names in its records.")
    return pd.DataFrame({name: [row.get(name) for row in rows] for name in names})


def cells_of(record: Mapping[Any, Any]) -> RawRow:
    """Return the cells of a record by column; lists are written as JSON."""
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
        for name, value in flatten(record).items()
    }
