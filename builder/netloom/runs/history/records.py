"""Records of runs in their folders, with what the store knows: they restore the list of runs if the database is
lost."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from netloom.store import Point, RunArtifacts, Store, StoreError
from netloom.store.run_summary import JsonFacts

_TIMES = ("created_at", "started_at", "ended_at")
_COLUMNS = ("step", "epoch", "split", "name", "value", "at")


def keep_record(store: Store, run_id: str, *, curves: bool = False) -> None:
    """Save what the store knows of a run, with `curves` also its curves. Does nothing on a full disk, so that the run
    continues."""
    artifacts = store.artifacts(run_id)
    with contextlib.suppress(OSError, StoreError):
        artifacts.save_record(json.dumps(asdict(store.run(run_id)), default=_plain, indent=1))
        if curves:
            points = asdict(store.points(run_id))
            artifacts.save_curves({name: points[name] for name in _COLUMNS})


def describe(store: Store, run_id: str, **values: Any) -> None:
    """Change the title, the notes or the tags of a run.

    Raises:
        StoreError: there is no such run, or there are too many tags.
    """
    store.update_run(run_id, **values)
    keep_record(store, run_id)


def record(artifacts: RunArtifacts) -> dict[str, Any]:
    """Return the record of a run; empty if there is none or it is unreadable."""
    values = artifacts.record()
    return {**values, **{name: moment(values.get(name)) for name in _TIMES}} if values else {}


def curves(artifacts: RunArtifacts) -> list[Point]:
    """Return the curves of a run that ended; empty if they were not saved or are unreadable."""
    columns = artifacts.curves()
    try:
        rows = list(zip(*(columns[name] for name in _COLUMNS), strict=True))
        return [
            (int(step), int(epoch), str(split), str(name), float(value), float(at))
            for step, epoch, split, name, value, at in rows
        ]
    except (ValueError, KeyError, TypeError):
        return []


def moment(text: Any) -> datetime | None:
    """Return a time from a record; None if it is invalid."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, JsonFacts):
        return value.as_json()
    return value.isoformat() if isinstance(value, datetime) else repr(value)
