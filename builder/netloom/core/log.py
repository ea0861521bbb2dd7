"""Logs for developers: one JSON object per line."""

from __future__ import annotations

import json
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
    line = json.dumps({"at": datetime.now(UTC).isoformat(), "event": event, **values}, default=repr)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
