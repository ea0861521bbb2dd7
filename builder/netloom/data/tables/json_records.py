"""Tables as JSON: one record per line, a list of records, or columns by name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netloom.core.errors import DataError
from netloom.core.text import no_json
from netloom.data.limits import MAX_CELLS, MAX_COLUMNS, MAX_ROWS
from netloom.data.tables.row_file import flatten

if TYPE_CHECKING:
    import pandas as pd

JSON_START = re.compile(r'\s*(\{\s*["}]|\[\s*[\[{])')


def json_table(text: str, filename: str) -> pd.DataFrame | None:
    """Return the table in a JSON text; None if it is not JSON. Nested objects become columns such as `address.city`.

    Raises:
        DataError: The text is JSON, but not a table, or is broken.
    """
    if not JSON_START.match(text):
        return None
    parsed = _parse_lines(text)
    if parsed is None:
        try:
            parsed = _records_of(json.loads(text, parse_constant=constant_as_missing), filename)
        except (ValueError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{filename[:100]!r} begins like JSON, but cannot be parsed: {_syntax_error(text, error)}; fix it "
                "there, or save it again."
            ) from None
    if len(parsed) > MAX_ROWS:
        raise DataError(f"{filename[:100]!r} has {len(parsed):,} records; at most {MAX_ROWS:,} can be read.")
    return _table(parsed, filename)


def constant_as_missing(name: str) -> None:
    """Return None, so that Infinity and NaN, which JSON does not have, are missing values."""


def _parse_lines(text: str) -> list[Any] | None:
    """Return the records of JSON Lines; None if the text is something else."""
    parsed = []
    for line in text.splitlines():
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
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for index, (number, line) in enumerate(lines):
        try:
            is_record = isinstance(json.loads(line, parse_constant=constant_as_missing), dict)
        except (ValueError, RecursionError):
            is_record = False
        if not is_record:
            if not index:
                break
            return f"line {number:,} is not a complete record, {line[:60]!r}"
    return no_json(error)


def _records_of(value: Any, filename: str) -> list[Any]:
    """Return the records of a JSON value: a list of records, such a list under some name, or columns by name."""
    if isinstance(value, list):
        if value and isinstance(value[0], list):
            return [dict(enumerate(row, 1)) if isinstance(row, list) else row for row in value]
        return value
    if isinstance(value, dict):
        lists = {str(name): item for name, item in value.items() if isinstance(item, list) and item}
        if len(lists) == 1 and isinstance(next(iter(lists.values()))[0], dict):
            return next(iter(lists.values()))
        if lists and len(lists) == len(value) and len({len(item) for item in lists.values()}) == 1:
            return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
        if value and all(isinstance(item, dict) for item in value.values()):
            return list(value.values())
    raise DataError(
        f"{filename[:100]!r} is JSON, but not a table; expected one record per line, or a list of records such as "
        '[{"height": 1.5, "kind": "a"}, …].'
    )


def _table(parsed: list[Any], filename: str) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = []
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


def cells_of(record: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the cells of a record by column; lists are written as JSON."""
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
        for name, value in flatten(record).items()
    }
