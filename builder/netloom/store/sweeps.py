"""Sweeps and their trials: the search space, the values of each trial, and its result."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NotRequired, TypedDict

from sqlalchemy import delete, insert, select, update

from netloom.core.plain_json import Json
from netloom.document import Project, dumps
from netloom.store.database import Database, NotFoundError, StoreError
from netloom.store.runs import Run
from netloom.store.schema import runs, sweeps, trials

SWEEP_STATES = ("running", "stopped", "finished", "failed")
TRIAL_STATES = ("running", "complete", "pruned", "failed")


class ParameterSpace(TypedDict, total=False):
    """The values that a sweep tries for one parameter: `choices`, or a range from `low` to `high` of integers
    (`whole`) or real numbers, on a linear or a logarithmic scale. A grid takes `points` of it."""

    choices: list[Any]
    low: float
    high: float
    log: bool
    whole: bool
    step: float
    points: int


class SweepDriver(TypedDict):
    """The process that runs the trials of a sweep on a cluster: the number of started ones, and the last one, at `at`
    seconds since 1970. `pid` is None until it has started."""

    host: str
    pid: int | None
    at: float
    count: int


class SweepPlan(TypedDict):
    """The search space of a sweep and its settings. With `spread`, a grid tries only a part of its combinations."""

    kind: str
    space: dict[str, ParameterSpace]
    trials: int
    sampler: str
    pruner: str
    metric: str
    direction: Literal["minimize", "maximize"]
    seed: int
    parallel: int
    epochs: int
    backend: str
    spread: NotRequired[bool]
    driver: NotRequired[SweepDriver]


@dataclass(frozen=True)
class Sweep:
    """A search over parameters of a document. Plans of older versions may lack keys, which are read by `get`."""

    id: str
    project_id: str
    title: str
    owner: str
    state: str
    reason: str
    document: str
    plan: SweepPlan
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class Trial:
    """A trial: its values by path, its run (None if the document was invalid), and its result."""

    number: int
    run_id: str | None
    state: str
    assigned: dict[str, Any]
    value: float | None
    reason: str


class Sweeps:
    """The part of the store for sweeps."""

    db: Database

    def create_sweep(
        self, project_id: str, project: Project, plan: SweepPlan, *, title: str = "", owner: str = ""
    ) -> Sweep:
        """Add a sweep over the current document."""
        sweep_id = str(uuid.uuid4())
        values = {"id": sweep_id, "project_id": project_id, "title": title or project.name, "owner": owner}
        values |= {"document": dumps(project), "plan": json.dumps(plan), "state": "running", "reason": ""}
        with self.db.writing() as connection:
            connection.execute(insert(sweeps).values(**values, created_at=datetime.now(UTC)))
        return self.sweep(sweep_id)

    def sweep(self, sweep_id: str) -> Sweep:
        """Return a sweep.

        Raises:
            NotFoundError: there is no such sweep.
        """
        with self.db.reading() as connection:
            row = connection.execute(select(sweeps).where(sweeps.c.id == sweep_id)).first()
        if row is None:
            raise NotFoundError("There is no such sweep; it may have been deleted.")
        return _sweep(row)

    def sweeps(self, project_id: str | None = None, state: str | None = None) -> list[Sweep]:
        """Return the sweeps of a project, or all, newest first; with `state`, only those in it."""
        query = select(sweeps).order_by(sweeps.c.created_at.desc())
        if project_id is not None:
            query = query.where(sweeps.c.project_id == project_id)
        if state is not None:
            query = query.where(sweeps.c.state == state)
        with self.db.reading() as connection:
            return [_sweep(row) for row in connection.execute(query)]

    def change_sweep(self, sweep: Sweep, **values: Any) -> bool:
        """Change fields of a sweep, such as its plan, if its state and its plan still equal those of `sweep`. Returns
        whether it was changed.

        Raises:
            StoreError: there is no such state.
        """
        if values.get("state", SWEEP_STATES[0]) not in SWEEP_STATES:
            raise StoreError(f"{values['state']!r} is not a state of a sweep; there are {', '.join(SWEEP_STATES)}.")
        if "plan" in values:
            values["plan"] = json.dumps(values["plan"])
        change = update(sweeps).where(sweeps.c.id == sweep.id, sweeps.c.state == sweep.state)
        # `json.loads` keeps the order of keys, so a plan that was not changed is the same text again
        change = change.where(sweeps.c.plan == json.dumps(sweep.plan))
        with self.db.writing() as connection:
            return bool(connection.execute(change.values(**values)).rowcount)

    def stop_sweep(self, sweep_id: str, state: str = "stopped", reason: str = "") -> bool:
        """End an active sweep, whatever its current plan. Returns False if it is not active."""
        change = update(sweeps).where(sweeps.c.id == sweep_id, sweeps.c.state == "running")
        with self.db.writing() as connection:
            values = {"state": state, "reason": reason, "ended_at": datetime.now(UTC)}
            return bool(connection.execute(change.values(**values)).rowcount)

    def delete_sweep(self, sweep_id: str) -> None:
        """Delete a sweep. Its runs remain as ordinary runs."""
        with self.db.writing() as connection:
            # The column has no foreign key that the database would clear
            connection.execute(update(runs).where(runs.c.sweep_id == sweep_id).values(sweep_id=None))
            connection.execute(delete(sweeps).where(sweeps.c.id == sweep_id))

    def trials(self, sweep_id: str) -> list[Trial]:
        """Return the trials of a sweep in order."""
        query = select(trials).where(trials.c.sweep_id == sweep_id).order_by(trials.c.number)
        with self.db.reading() as connection:
            return [_trial(row) for row in connection.execute(query)]

    def fail_trial(self, sweep_id: str, number: int, assigned: Mapping[str, Json], reason: str) -> None:
        """Add a trial that could not be run.

        Raises:
            NotFoundError: there is a trial of this number already, or no such sweep.
        """
        row = {"sweep_id": sweep_id, "number": number, "assigned": json.dumps(assigned), "state": "failed"}
        with self.db.writing() as connection:
            connection.execute(insert(trials).values(**row, reason=reason))

    def end_trial(
        self, sweep_id: str, trial: Trial, state: str, value: float | None, reason: str = "", *, run: Run | None = None
    ) -> bool:
        """Record the result of an active trial from its `run` (None: the run was deleted). Returns False if it was
        recorded before, or the run has been restarted since it was read."""
        mine = (trials.c.sweep_id == sweep_id, trials.c.number == trial.number, trials.c.state == trial.state)
        with self.db.writing() as connection:
            current = connection.execute(
                select(runs.c.claim, runs.c.state).where(runs.c.id == trial.run_id).with_for_update()
            ).first()
            if (current and tuple(current)) != (run and (run.claim, run.state)):
                return False
            change = update(trials).where(*mine).values(state=state, value=value, reason=reason)
            return bool(connection.execute(change).rowcount)


def _sweep(row: Any) -> Sweep:
    values = dict(row._mapping)
    values["plan"] = json.loads(values["plan"])
    return Sweep(**values)


def _trial(row: Any) -> Trial:
    return Trial(row.number, row.run_id, row.state, json.loads(row.assigned), row.value, row.reason)
