"""Logs for whoever has to find out what went wrong: one JSON object per line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# The file in the data folder that tells what the app and the commands stumbled over.
ERRORS = "errors.jsonl"


def write(path: Path, event: str, **values: Any) -> None:
    """Append a line with the time, what happened, and its details.

    Raises:
        OSError: the file cannot be written.
    """
    line = json.dumps({"at": datetime.now(UTC).isoformat(), "event": event, **values}, default=repr)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
