"""Collects rows with their correct labels in a project: inputs that a person tried, and logged requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from netloom.data.dataset_version import why_no_version
from netloom.monitoring.log_files import as_json

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.monitoring.suspects import Suspect
    from netloom.store import CollectedExample, Run, Store


def restriction_of(data: Prepared) -> str:
    """Return why examples of some data are collected for the comparison of runs alone, in sentences; "" if a dataset
    version can have them."""
    reason = why_no_version(data)
    return f"Collected examples are used to compare runs, but not to train. {reason}" if reason else ""


def collect_input(store: Store, run: Run, row: Mapping[str, Any], label: Any, origin: str) -> CollectedExample | None:
    """Collect a raw row with its correct label in the project of a run.

    Raises:
        StoreError: there is no room for it.
    """
    return store.collected(run.project_id).add(from_json(as_json(dict(row))), label, origin, run=run.id)


def collect_request(store: Store, project_id: str, suspect: Suspect, label: Any) -> CollectedExample | None:
    """Collect a logged row with its correct label; None if it was collected already.

    Raises:
        StoreError: there is no room for it.
    """
    row = suspect.row
    return store.collected(project_id).add(
        row.input,
        label,
        f"Request to {suspect.model}",
        run=row.run,
        prediction=row.prediction,
        source=suspect.source,
    )
