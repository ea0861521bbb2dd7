"""What the store knows of a run, written into its folder as well: from it the list of runs is made anew where the
database was lost."""

from __future__ import annotations

import contextlib
import gzip
import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from netloom.document import write_bytes
from netloom.store import Point, Store, StoreError

RECORD, CURVES = "run.json", "curves.json.gz"
_TIMES = ("created_at", "started_at", "ended_at")
_COLUMNS = ("step", "epoch", "split", "name", "value", "at")


def keep_record(store: Store, run_id: str, *, curves: bool = False) -> None:
    """Write down what is known of a run, with `curves` those as well. Not where the disk is full: the run itself goes
    on without."""
    folder = Path(store.run_folder(run_id))
    with contextlib.suppress(OSError, StoreError):
        text = json.dumps(asdict(store.run(run_id)), default=_plain, indent=1)
        write_bytes(folder / RECORD, text.encode())
        if curves:
            points = asdict(store.points(run_id))
            columns = json.dumps({name: points[name] for name in _COLUMNS}, separators=(",", ":"))
            write_bytes(folder / CURVES, gzip.compress(columns.encode(), 6, mtime=0))


def describe(store: Store, run_id: str, **values: Any) -> None:
    """Change title, notes or tags of a run.

    Raises:
        StoreError: there is no such run, or there are too many tags.
    """
    store.update_run(run_id, **values)
    keep_record(store, run_id)


def record(folder: Path) -> dict[str, Any]:
    """What was written down of a run; nothing where nothing was, or it cannot be read."""
    try:
        found = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {**found, **{name: moment(found.get(name)) for name in _TIMES}}


def curves(folder: Path) -> list[Point]:
    """The curves of a run that ended; none where they were not written down, or cannot be read."""
    try:
        found = json.loads(gzip.decompress((folder / CURVES).read_bytes()))
        rows = list(zip(*(found[name] for name in _COLUMNS), strict=True))
        return [
            (int(step), int(epoch), str(split), str(name), float(value), float(at))
            for step, epoch, split, name, value, at in rows
        ]
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return []


def moment(text: Any) -> datetime | None:
    """A point in time as it was written down; None where it is none."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)
