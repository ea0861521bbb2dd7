"""The logs of requests as files: their folders, segments and lines.

The log of a model is a folder of the data folder with segments, files of JSON lines. A line is a row or a label:

    {"kind": "row", "at": …, "id": …, "row": 1, "of": 1, "run": …, "weights": …, "calibration": …, "version": …,
     "ms": …, "input": {…}, "prediction": …, "confidence": …}
    {"kind": "label", "at": …, "id": …, "row": 1, "label": …}

`id` is the identifier of the request, and `row` the number of its row, from 1. `weights` is the checksum of the weights
of the run, or of the ONNX file that is served instead, and `calibration` that of its calibration, or empty; lines of
older versions of Netloom do not have them. A line reaches the operating system in one call before the request is
answered, so that a killed server loses no line of an answer that a client has received. JSON escapes line breaks, so
that a request cannot forge a line. Only this module knows the names of the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from netloom.core.errors import UsageError

SUFFIX, RUNS, KEY, LOCK = ".jsonl", "runs.json", "key", ".lock"
# What a line begins with: its kind, the identifier of the request, the number of the row, and of how many
HEAD = re.compile(rb'^\{"kind":"(row|label)","at":"[^"]*","id":"([^"\\]*)","row":(\d+)(?:,"of":(\d+))?')


@dataclass(frozen=True)
class LogInfo:
    """The log of a model: the runs that it has rows of, the newest last, and a stamp that changes with each line."""

    model: str
    runs: tuple[str, ...]
    stamp: tuple[int, int]


def is_model_name(text: str) -> bool:
    """Return whether a text can be the name of a model, which is part of paths and addresses."""
    # A client shortens a path with . or .. as a part
    return bool(text.strip(".")) and all(letter.isascii() and (letter.isalnum() or letter in "-_.") for letter in text)


def log_folder(home: Path, model: str) -> Path:
    """Return the folder of the log of a model.

    Raises:
        UsageError: the name could point elsewhere.
    """
    if not is_model_name(model):
        raise UsageError(f"{model[:60]!r} is not the name of a model.")
    return home / "serving" / "requests" / model


def logged_models(home: Path) -> list[LogInfo]:
    """Return the logs of a data folder, in the order of the names of their models."""
    infos = (log_of(home, path.name) for path in sorted((home / "serving" / "requests").glob("*")))
    return [info for info in infos if info is not None]


def log_of(home: Path, model: str) -> LogInfo | None:
    """Return the log of a model; None if nothing was logged."""
    if not is_model_name(model):
        return None
    folder = log_folder(home, model)
    try:
        runs = from_json((folder / RUNS).read_bytes())
    except (OSError, ValueError):
        return None
    status = [path.stat() for path in segments(folder)]
    stamp = sum(item.st_size for item in status), max((item.st_mtime_ns for item in status), default=0)
    return LogInfo(model, tuple(map(str, runs)), stamp)


def segments(folder: Path) -> list[Path]:
    """Return the segments of a log, the oldest first: their names are the nanoseconds at which they began."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())


def lines_backwards(folder: Path) -> Iterator[bytes]:
    """Return the lines of a log, the newest first."""
    for path in reversed(segments(folder)):
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # it expired
            continue
        # Without the end of the file after the last line break: another process may be writing it
        yield from reversed(content.split(b"\n")[:-1])


def line_of(kind: str, head: Mapping[str, Any], body: bytes) -> bytes:
    """Return a line with the keys of the head before those of the body."""
    start = to_json({"kind": kind, "at": datetime.now(UTC).isoformat(), **head})
    return start[:-1] + b"," + body[1:] + b"\n"


def as_json(value: Any) -> bytes:
    """Return a value as JSON, in which arrays are lists, and NaN and infinity null.

    Raises:
        ValueError: it has a text that is not Unicode.
    """
    return to_json(value, inf_nan_mode="null", fallback=_plain)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def parsed(line: bytes) -> dict[str, Any]:
    """Return the values of a line; empty for a damaged one."""
    try:
        value = from_json(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
