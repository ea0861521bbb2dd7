"""JSON files with the boxes of objects in images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from netloom.core.errors import DataError
from netloom.core.text import no_json
from netloom.data import file_types
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.files.source import Source


def json_files(source: Source) -> list[str]:
    return [name for name in source.members.of(file_types.TEXT) if name.lower().endswith(".json")]


def json_text(source: Source, name: str) -> str:
    text, _ = decode_text(source.members.read(name), name)
    return text


def json_content(source: Source, name: str) -> Any:
    """Return the content of a file.

    Raises:
        DataError: It is not valid JSON.
    """
    try:
        return json.loads(json_text(source, name))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name[-80:]!r} is not valid JSON: {no_json(error)}; save it again.") from None


def entries_of(values: object, key: str, name: str) -> Sequence[Mapping[str, Any]]:
    """Return the list of objects that a file has under a key, or that is its whole content for the key "".

    Raises:
        DataError: It is something else.
    """
    if not isinstance(values, list) or not all(isinstance(entry, Mapping) for entry in values):
        where = f"{key!r} of {name[-80:]!r}" if key else repr(name[-80:])
        raise DataError(f"{where} has to be a list of objects with names and values.")
    return values
