"""Runs: their rows in the database, and their files."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from netloom.core.text import plain
from netloom.document import Project
from netloom.store.artifact_store import ArtifactStore
from netloom.store.artifacts import RunArtifacts
from netloom.store.database import Database, NotFoundError, StoreError
from netloom.store.limits import Limits, require_free_run
from netloom.store.origins import merged_about
from netloom.store.run_end import EndCause, cause_of
from netloom.store.run_summary import JsonFacts, RunOrigin, RunSummary, SweepTrial
from netloom.store.schema import runs, sweeps, trials
from netloom.store.states import ENDED, WITH_WORKER, check_claim, lost, with_claim

MAX_TAGS, MAX_TAG = 20, 40
_JSON = ("summary", "about", "tags")


@dataclass(frozen=True)
class Run:
    """A run: its state, its progress, and the last `summary` from its worker.

    `owner` takes turns with others in the queue; `about` is the origin of the run (an earlier run, a sweep).
    """

    id: str
    project_id: str
    title: str
    state: str
    reason: str
    pid: int | None
    epoch: int
    step: int
    total_steps: int
    summary: RunSummary
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    heartbeat_at: datetime | None
    owner: str = ""
    device: str = "auto"
    gpu: int | None = None
    queued_at: datetime | None = None
    claim: str | None = None
    claimed_at: datetime | None = None
    notes: str = ""
    tags: tuple[str, ...] = ()
    about: RunOrigin = field(default_factory=RunOrigin)
    sweep_id: str | None = None
    host: str | None = None

    @property
    def end_cause(self) -> EndCause | None:
        """Why the run ended; None while it is active."""
        return (self.about.end_cause or cause_of(self.state, self.reason)) if self.state in ENDED else None


class Runs:
    """The part of the store for runs."""

    db: Database
    artifact_store: ArtifactStore

    def create_run(
        self,
        project_id: str,
        project: Project,
        title: str = "",
        *,
        run_id: str | None = None,
        owner: str = "",
        tags: Sequence[str] = (),
        about: RunOrigin | None = None,
        worker_host: str = "",
        limits: Limits | None = None,
    ) -> Run:
        """Add a new run of a project to the queue. The caller fills its folder, named `run_id`, before. For the
        trial of a sweep, the run and the trial are added in one transaction. With a `worker_host`, the run is not
        queued: the caller there has claimed it.

        Raises:
            QueueFullError: the owner has as many waiting runs as `limits` allow, also with concurrent calls.
            NotFoundError: the project does not exist any more, or the sweep has a trial of this number already or was
                stopped.
        """
        about = about or RunOrigin()
        trial = about.start if isinstance(about.start, SweepTrial) else None
        run_id = run_id or str(uuid.uuid4())
        queued_at = datetime.now(UTC)
        values: dict[str, Any] = {
            "id": run_id,
            "project_id": project_id,
            "title": title,
            "state": "waiting",
        }
        values |= {"owner": owner, "device": project.training.device, "queued_at": queued_at, "created_at": queued_at}
        values |= {"tags": json.dumps(cleaned(tags)), "about": _json(about)}
        if worker_host:
            values |= {"state": "queued", "host": worker_host, "claim": str(uuid.uuid4()), "claimed_at": queued_at}
        with self.db.writing() as connection:
            if limits is not None and not worker_host:
                require_free_run(connection, owner, limits)
            if trial:
                _check_sweep(connection, trial.sweep)
            if not title:
                values["title"] = _unused_title(connection, project_id, project.name)
            connection.execute(insert(runs).values(**values, sweep_id=trial.sweep if trial else None))
            if trial:
                row = {"sweep_id": trial.sweep, "number": trial.number, "run_id": run_id}
                row |= {"assigned": json.dumps(trial.assigned)}
                connection.execute(insert(trials).values(**row, state="running"))
        return self.run(run_id)

    def restore_run(
        self, run_id: str, project_id: str, project: Project, state: str, reason: str, **values: Any
    ) -> None:
        """Add a run that has ended and is not in the database, with the fields of its row.

        Raises:
            StoreError: it has not ended.
            NotFoundError: there is no such project, or the run is in the database by now.
        """
        if state not in ENDED:
            raise StoreError(f"A run is listed again once it has ended, received {state!r}.")
        row = {"id": run_id, "project_id": project_id, "state": state, "reason": reason}
        row |= {"device": project.training.device, **_written(values)}
        with self.db.writing() as connection:
            connection.execute(insert(runs).values(**row))

    def run_ids(self) -> set[str]:
        """Return the ids of all runs."""
        with self.db.reading() as connection:
            return set(connection.execute(select(runs.c.id)).scalars())

    def run(self, run_id: str) -> Run:
        """Return a run.

        Raises:
            StoreError: there is no such run.
        """
        with self.db.reading() as connection:
            row = connection.execute(select(runs).where(runs.c.id == run_id)).first()
        if row is None:
            raise NotFoundError("There is no such run; it may have been deleted.")
        return as_run(row)

    def claimed_run(self, run_id: str, claim: str | None) -> Run:
        """Return the run that a worker holds with a claim.

        Raises:
            ClaimLostError: the claim is not valid, or not any more.
            NotFoundError: there is no such run.
        """
        with self.db.reading() as connection:
            check_claim(connection, run_id, claim)
            return as_run(connection.execute(select(runs).where(runs.c.id == run_id)).one())

    def runs(self, project_id: str | None = None, limit: int = 500) -> list[Run]:
        """Return the runs of a project, or all of them, newest first."""
        query = select(runs).order_by(runs.c.created_at.desc()).limit(limit)
        if project_id is not None:
            query = query.where(runs.c.project_id == project_id)
        with self.db.reading() as connection:
            return [as_run(row) for row in connection.execute(query)]

    def active_runs(self) -> list[Run]:
        """Return the runs that wait or have a worker, oldest first."""
        query = select(runs).where(runs.c.state.not_in(ENDED))
        with self.db.reading() as connection:
            return [as_run(row) for row in connection.execute(query.order_by(runs.c.created_at))]

    def update_run(self, run_id: str, *, holding: str | None = None, **values: Any) -> None:
        """Change fields of a run, except its state (see `change_state`). With `holding`, only while that claim is valid
        and the run is active.

        Raises:
            ClaimLostError: another process claimed the run, or it was given up, while this process was silent.
            NotFoundError: there is no such run.
            ValueError: the state of a run is not changed here.
        """
        if "state" in values:
            raise ValueError("The state of a run is changed by change_state, with the claim of whoever changes it.")
        change = update(runs).where(runs.c.id == run_id)
        if holding is not None:
            change = with_claim(change, holding).where(runs.c.state.in_(WITH_WORKER))
        with self.db.writing() as connection:
            if not connection.execute(change.values(**_written(values))).rowcount:
                raise lost(connection, run_id, holding)

    def note_about(self, run_id: str, facts: RunOrigin) -> None:
        """Merge facts into the origin of a run; concurrent changes of other keys are preserved.

        Raises:
            NotFoundError: there is no such run.
        """
        with self.db.writing() as connection:
            merged = merged_about(connection, run_id, facts)
            connection.execute(update(runs).where(runs.c.id == run_id).values(about=merged))

    def heartbeat(self, run_id: str, *, holding: str | None = None, **values: Any) -> None:
        """Record that the worker of a run is alive, with its epoch, step and summary.

        Raises:
            ClaimLostError: the claim `holding` is not valid any more.
        """
        self.update_run(run_id, holding=holding, heartbeat_at=datetime.now(UTC), **values)

    def delete_run(self, run_id: str) -> None:
        """Delete a run with its points and its folder.

        Raises:
            StoreError: this is not the id of a run.
        """
        with self.db.writing() as connection:
            connection.execute(delete(runs).where(runs.c.id == run_id))
        self.artifacts(run_id).delete()

    def artifacts(self, run_id: str) -> RunArtifacts:
        """Return the files of a run. Their folder is named by the UUID of the run, whatever its title is.

        Raises:
            NotFoundError: this is not the id of a run.
        """
        try:
            return RunArtifacts(self.artifact_store, str(uuid.UUID(run_id)))
        except ValueError:
            raise NotFoundError("There is no such run; it may have been deleted.") from None


def _unused_title(connection: Connection, project_id: str, name: str) -> str:
    """Return the name of a project for its first run, and the name with the next free number for later ones."""
    titles = connection.execute(select(runs.c.title).where(runs.c.project_id == project_id)).scalars().all()
    ends = [title.removeprefix(name).strip() for title in titles if title.startswith(name)]
    numbers = [1 if not end else int(end) for end in ends if not end or end.isdecimal()]
    return f"{name} {max(numbers) + 1}" if numbers else name


def _check_sweep(connection: Connection, sweep_id: str) -> None:
    """Check that a sweep is active: one that was stopped a moment ago starts no more trials.

    Raises:
        NotFoundError: it is not active any more.
    """
    state = connection.execute(select(sweeps.c.state).where(sweeps.c.id == sweep_id).with_for_update()).scalar()
    if state != "running":
        raise NotFoundError("This sweep was stopped or deleted, so it makes no more trials.")


def _written(values: dict[str, Any]) -> dict[str, Any]:
    """Return fields in the form of the table."""
    if "tags" in values:
        values = {**values, "tags": cleaned(values["tags"])}
    return {**values, **{name: _json(values[name]) for name in _JSON if name in values}}


def _json(value: Any) -> str:
    return json.dumps(value.as_json() if isinstance(value, JsonFacts) else value)


def as_run(row: Any) -> Run:
    """Return a row of the table as a run."""
    values = dict(row._mapping)
    values |= {name: json.loads(values[name]) for name in _JSON}
    values["tags"] = tuple(values["tags"])
    values["summary"] = RunSummary.from_json(values["summary"])
    values["about"] = RunOrigin.from_json(values["about"])
    return Run(**values)


def cleaned(tags: Sequence[str]) -> list[str]:
    """Return normalized tags: on one line, non-empty, without duplicates.

    Raises:
        StoreError: there are too many, or one is too long.
    """
    unique_tags = list(dict.fromkeys(word for tag in tags if (word := plain(tag))))
    if len(unique_tags) > MAX_TAGS:
        raise StoreError(f"A run has at most {MAX_TAGS} tags, received {len(unique_tags)}.")
    for tag in unique_tags:
        if len(tag) > MAX_TAG:
            raise StoreError(f"A tag has at most {MAX_TAG} letters; {tag[:20]!r}… has {len(tag)}.")
    return unique_tags
