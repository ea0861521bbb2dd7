"""Raw rows from a file, to predict for."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping
from typing import Any

from builder.cli.command import Failure
from builder.text import no_json

MAX_BYTES = 200 * 2**20
STDIN = "-"
_JSON_CELLS = ("image", "series", "log_mel")


def read_rows(name: str, preprocess: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a CSV file with a header, or of JSON: one row, or a list of rows. "-" reads standard input.

    In CSV, the cell of an image or a series holds a list, written as JSON.

    Raises:
        Failure: it cannot be read; the message names the place.
    """
    text = _text(name)
    start = text.lstrip()[:1]
    if name.lower().endswith((".csv", ".tsv")) or (not name.lower().endswith(".json") and start not in "[{"):
        return _csv(name, text, {f["name"] for f in preprocess["fields"] if f["encoding"] in _JSON_CELLS})
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{name} is not valid JSON: {no_json(error)}.") from None
    rows = value if isinstance(value, list) else [value]
    for place, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise Failure(f"Row {place} of {name} is no object with a value for each column.")
    if not rows:
        raise Failure(f"{name} has no rows.")
    return rows


def _csv(name: str, text: str, lists: set[str]) -> list[dict[str, Any]]:
    first = text.lstrip().partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=first.count), skipinitialspace=True)
    rows: list[dict[str, Any]] = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise Failure(f"Row {len(rows) + 1} of {name} has not as many cells as there are column names.")
            rows.append({key.strip(): _list(cell, key, name) if key in lists else cell for key, cell in row.items()})
    except csv.Error as error:
        raise Failure(f"{name} cannot be read as CSV: {error}.") from None
    if not rows:
        raise Failure(f"{name} has no rows.")
    return rows


def _list(cell: str, column: str, name: str) -> Any:
    try:
        return json.loads(cell, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Failure(f"A cell of {column!r} in {name} holds no list of numbers in JSON.") from None


def _text(name: str) -> str:
    if name == STDIN:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with open(name, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Failure(f"{name} has more than {MAX_BYTES // 2**20} MiB; split it into parts.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failure(f"{name} is not UTF-8 text (byte {error.start:,}); save it as UTF-8.") from None
    if not text.strip():
        raise Failure(f"{name} is empty.")
    if "\x00" in text:
        raise Failure(f"{name} holds NUL characters, so it is no text.")
    return text


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")
