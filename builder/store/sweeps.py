"""Sweeps and their trials: what is searched, what each trial assigns, and what came of it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from builder.graph import Project, dumps
from builder.store.database import Database, Missing, StoreError
from builder.store.schema import runs, sweeps, trials

SWEEP_STATES = ("running", "stopped", "finished", "failed")
TRIAL_STATES = ("running", "complete", "pruned", "failed")


@dataclass(frozen=True)
class Sweep:
    """A search over parameters of a document. `plan` says what is searched and how, as JSON."""

    id: str
    project_id: str
    title: str
    owner: str
    state: str
    reason: str
    document: str
    plan: dict[str, Any]
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class Trial:
    """One attempt: values by path, the run that tried them (none where the document was invalid), the result."""

    number: int
    run_id: str | None
    state: str
    assigned: dict[str, Any]
    value: float | None
    reason: str


class Sweeps:
    """The part of the store that holds sweeps."""

    db: Database

    def create_sweep(
        self, project_id: str, project: Project, plan: dict[str, Any], *, title: str = "", owner: str = ""
    ) -> Sweep:
        """Note a new sweep over a document as it is now."""
        sweep_id = str(uuid.uuid4())
        values = {"id": sweep_id, "project_id": project_id, "title": title or project.name, "owner": owner}
        values |= {"document": dumps(project), "plan": json.dumps(plan), "state": "running", "reason": ""}
        with self.db.writing() as connection:
            connection.execute(insert(sweeps).values(**values, created_at=datetime.now(UTC)))
        return self.sweep(sweep_id)

    def sweep(self, sweep_id: str) -> Sweep:
        """One sweep.

        Raises:
            Missing: there is no such sweep.
        """
        with self.db.reading() as connection:
            row = connection.execute(select(sweeps).where(sweeps.c.id == sweep_id)).first()
        if row is None:
            raise Missing("There is no such sweep; it may have been deleted.")
        return _sweep(row)

    def sweeps(self, project_id: str | None = None, state: str | None = None) -> list[Sweep]:
        """The sweeps of a project, or all, the newest first; with `state` only those in it."""
        query = select(sweeps).order_by(sweeps.c.created_at.desc())
        if project_id is not None:
            query = query.where(sweeps.c.project_id == project_id)
        if state is not None:
            query = query.where(sweeps.c.state == state)
        with self.db.reading() as connection:
            return [_sweep(row) for row in connection.execute(query)]

    def update_sweep(self, sweep_id: str, *, was: str | None = None, **values: Any) -> bool:
        """Change fields of a sweep, with `was` only where it is in that state. Returns whether it was changed.

        Raises:
            StoreError: the state is none.
        """
        if values.get("state", SWEEP_STATES[0]) not in SWEEP_STATES:
            raise StoreError(f"{values['state']!r} is no state of a sweep.")
        if "plan" in values:
            values["plan"] = json.dumps(values["plan"])
        change = update(sweeps).where(sweeps.c.id == sweep_id)
        if was is not None:
            change = change.where(sweeps.c.state == was)
        with self.db.writing() as connection:
            return bool(connection.execute(change.values(**values)).rowcount)

    def change_plan(self, sweep: Sweep, plan: dict[str, Any]) -> bool:
        """Change the plan of a sweep that runs. Returns false where another process has changed it since `sweep`."""
        change = update(sweeps).where(sweeps.c.id == sweep.id, sweeps.c.state == "running")
        change = change.where(sweeps.c.plan == json.dumps(sweep.plan)).values(plan=json.dumps(plan))
        with self.db.writing() as connection:
            return bool(connection.execute(change).rowcount)

    def delete_sweep(self, sweep_id: str) -> None:
        """Forget a sweep. Its runs stay, as runs like all others."""
        with self.db.writing() as connection:
            connection.execute(update(runs).where(runs.c.sweep_id == sweep_id).values(sweep_id=None))
            connection.execute(delete(sweeps).where(sweeps.c.id == sweep_id))

    def trials(self, sweep_id: str) -> list[Trial]:
        """The trials of a sweep in their order."""
        query = select(trials).where(trials.c.sweep_id == sweep_id).order_by(trials.c.number)
        with self.db.reading() as connection:
            return [_trial(row) for row in connection.execute(query)]

    def fail_trial(self, sweep_id: str, number: int, assigned: dict[str, Any], reason: str) -> None:
        """Note a trial that could not be run.

        Raises:
            Missing: there is a trial of this number already, or no such sweep.
        """
        row = {"sweep_id": sweep_id, "number": number, "assigned": json.dumps(assigned), "state": "failed"}
        with self.db.writing() as connection:
            connection.execute(insert(trials).values(**row, reason=reason))

    def end_trial(self, sweep_id: str, number: int, state: str, value: float | None, reason: str = "") -> None:
        """Note what came of a trial, or that it goes on after all."""
        change = update(trials).where(trials.c.sweep_id == sweep_id, trials.c.number == number)
        with self.db.writing() as connection:
            connection.execute(change.values(state=state, value=value, reason=reason))


def _sweep(row: Any) -> Sweep:
    values = dict(row._mapping)
    values["plan"] = json.loads(values["plan"])
    return Sweep(**values)


def _trial(row: Any) -> Trial:
    return Trial(row.number, row.run_id, row.state, json.loads(row.assigned), row.value, row.reason)
