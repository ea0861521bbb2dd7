"""Logs for developers: one JSON object per line."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# The log in the data folder of errors in the app and in commands.
ERRORS = "errors.jsonl"


def write(path: Path, event: str, **values: Any) -> None:
    """Append a line with the time, the name of the event, and its details.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{_line(event, values)}\n")


def write_if_possible(path: Path, event: str, **values: Any) -> None:
    """Append a line as `write` does; if the file cannot be written, as on a full disk, write it to standard error."""
    try:
        write(path, event, **values)
    except OSError:
        print(_line(event, values), file=sys.stderr, flush=True)


def _line(event: str, values: Mapping[str, Any]) -> str:
    return json.dumps({"at": datetime.now(UTC).isoformat(), "event": event, **values}, default=repr)
