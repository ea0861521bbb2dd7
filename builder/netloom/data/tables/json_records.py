"""Tables as JSON: one record per line, a list of records, or columns by name."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from netloom.core.errors import DataError
from netloom.core.text import no_json
from netloom.data.limits import MAX_CELLS, MAX_COLUMNS, MAX_ROWS

if TYPE_CHECKING:
    import pandas as pd

_DEEPEST = 3
BEGIN = re.compile(r'\s*(\{\s*["}]|\[\s*[\[{])')


def records(text: str, filename: str) -> pd.DataFrame | None:
    """The table in a JSON text; None where it is none. What is nested becomes columns such as `address.city`.

    Raises:
        DataError: it is JSON, but no table.
    """
    if not BEGIN.match(text):
        return None
    found = _lines(text)
    if found is None:
        try:
            found = _rows(json.loads(text, parse_constant=refuse_constant), filename)
        except (ValueError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{filename[:100]!r} begins like JSON, but cannot be read as such: {_broken(text, error)}; mend it "
                "there, or save it again."
            ) from None
    if len(found) > MAX_ROWS:
        raise DataError(f"{filename[:100]!r} has {len(found):,} records; at most {MAX_ROWS:,} can be read.")
    return _table(found, filename)


def refuse_constant(name: str) -> None:
    """Infinity and NaN, which JSON does not have, are missing values."""


def _lines(text: str) -> list[Any] | None:
    """The records of a text with one of them per line; None where it is none."""
    found = []
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        found.append(value)
    return found if len(found) > 1 else None


def _broken(text: str, error: Exception) -> str:
    """Where a text that is no JSON goes wrong: where the first line is a record, each should be one."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for place, (number, line) in enumerate(lines):
        try:
            whole = isinstance(json.loads(line, parse_constant=refuse_constant), dict)
        except (ValueError, RecursionError):
            whole = False
        if not whole:
            if not place:
                break
            return f"line {number:,} is no whole record, {line[:60]!r}"
    return no_json(error)


def _rows(value: Any, filename: str) -> list[Any]:
    """The records of a JSON value: a list of records, such a list under some name, or columns by name."""
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
        f"{filename[:100]!r} is JSON, but no table; it takes one record per line, or a list of records such as "
        '[{"height": 1.5, "kind": "a"}, …].'
    )


def _table(found: list[Any], filename: str) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    for place, record in enumerate(found, 1):
        if not isinstance(record, dict):
            raise DataError(
                f"Record {place:,} of {filename[:100]!r} is no object with names and values, but {str(record)[:40]!r}."
            )
        row = dict(flattened(record))
        names.update(dict.fromkeys(row))
        rows.append(row)
        if len(names) > MAX_COLUMNS or len(names) * len(found) > MAX_CELLS:
            raise DataError(f"{filename[:100]!r} has more than {MAX_COLUMNS:,} different names in its records.")
    return pd.DataFrame({name: [row.get(name) for row in rows] for name in names})


def flattened(record: dict[Any, Any], before: str = "", depth: int = 1) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in record.items():
        whole = f"{before}{name}"[:200]
        if isinstance(value, dict) and value and depth < _DEEPEST:
            found += flattened(value, f"{whole}.", depth + 1)
        else:
            found.append((whole, json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value))
    return found
