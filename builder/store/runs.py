"""Runs, the points of their curves, and the commands that steer them."""

from __future__ import annotations

import json
import math
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from builder.graph import Project
from builder.store.database import Database, Missing, StoreError
from builder.store.schema import commands, points, runs, trials
from builder.text import plain

# A run that finished stays so, save where it is reopened to be extended; one that failed or was stopped can be resumed.
FINAL = "finished"
# One that waits has no worker yet; one that is queued has been given one, which starts.
WITH_WORKER = ("queued", "running", "paused", "stopping")
STATES = ("waiting", *WITH_WORKER, "finished", "stopped", "failed")
COMMANDS = ("pause", "resume", "stop", "learning_rate", "schedule")
MAX_TAGS, MAX_TAG = 20, 40
_IDS_AT_ONCE = 500
# Made once: to write a statement takes as long as to carry it out.
_ASKED = select(commands.c.id).where(commands.c.run_id == bindparam("run")).limit(1)
_JSON = ("summary", "about", "tags")
# step, epoch, split, name, value, seconds since 1970
Point = tuple[int, int, str, str, float, float]


class Lost(StoreError):  # noqa: N818  (that is what it is)
    """A run is not that worker's any more which speaks of it."""


@dataclass(frozen=True)
class Run:
    """A run: its state, how far it is, and what its worker last told about itself in `summary`.

    `owner` takes turns with others in the queue, `about` says where the run comes from (an earlier one, a sweep).
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
    summary: dict[str, Any]
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
    about: dict[str, Any] = field(default_factory=dict)
    sweep_id: str | None = None
    host: str | None = None


@dataclass(frozen=True)
class Command:
    """What a worker is asked to do."""

    kind: str
    value: float | None
    text: str = ""


@dataclass(frozen=True)
class Points:
    """Points of curves, column by column. `last` is the row to go on from with the next call."""

    step: list[int]
    epoch: list[int]
    split: list[str]
    name: list[str]
    value: list[float]
    at: list[float]
    last: int


class Runs:
    """The part of the store that holds runs."""

    db: Database
    home: Path

    def create_run(
        self,
        project_id: str,
        project: Project,
        title: str = "",
        *,
        run_id: str | None = None,
        owner: str = "",
        tags: Sequence[str] = (),
        about: dict[str, Any] | None = None,
        trial: tuple[str, int, dict[str, Any]] | None = None,
        place: str = "",
    ) -> Run:
        """Note a new run of a project, which waits for its worker. Its folder, named `run_id`, is the caller's to fill
        before that. Where it is a `trial` (a sweep's id, its number, and what it assigns), both are noted or neither.
        With a `place` it does not wait: somebody there has claimed it.

        Raises:
            Missing: there is no such project any more, or the sweep has a trial of this number already.
        """
        run_id = run_id or str(uuid.uuid4())
        now = datetime.now(UTC)
        values: dict[str, Any] = {
            "id": run_id,
            "project_id": project_id,
            "title": title or project.name,
            "state": "waiting",
        }
        values |= {"owner": owner, "device": project.training.device, "queued_at": now, "created_at": now}
        values |= {"tags": json.dumps(cleaned(tags)), "about": json.dumps(about or {})}
        if place:
            values |= {"state": "queued", "host": place, "claim": str(uuid.uuid4()), "claimed_at": now}
        with self.db.writing() as connection:
            connection.execute(insert(runs).values(**values, sweep_id=trial[0] if trial else None))
            if trial:
                sweep_id, number, assigned = trial
                row = {"sweep_id": sweep_id, "number": number, "assigned": json.dumps(assigned), "run_id": run_id}
                connection.execute(insert(trials).values(**row, state="running"))
        return self.run(run_id)

    def run(self, run_id: str) -> Run:
        """One run.

        Raises:
            StoreError: there is no such run.
        """
        with self.db.reading() as connection:
            row = connection.execute(select(runs).where(runs.c.id == run_id)).first()
        if row is None:
            raise Missing("There is no such run; it may have been deleted.")
        return as_run(row)

    def runs(self, project_id: str | None = None, limit: int = 500) -> list[Run]:
        """The runs of a project, or all of them, the newest first."""
        query = select(runs).order_by(runs.c.created_at.desc()).limit(limit)
        if project_id is not None:
            query = query.where(runs.c.project_id == project_id)
        with self.db.reading() as connection:
            return [as_run(row) for row in connection.execute(query)]

    def active_runs(self) -> list[Run]:
        """The runs that wait or have a worker, the oldest first."""
        ended = ("finished", "stopped", "failed")
        query = select(runs).where(runs.c.state.in_([state for state in STATES if state not in ended]))
        with self.db.reading() as connection:
            return [as_run(row) for row in connection.execute(query.order_by(runs.c.created_at))]

    def update_run(self, run_id: str, *, holding: str | None = None, **values: Any) -> None:
        """Change fields of a run; where `holding` is given, only while that claim holds and the run goes on.

        Raises:
            Lost: the run was given to another, or given up, while this process was not heard from.
            StoreError: the state is none or not to be had any more, or there is no such run.
        """
        if "state" in values and values["state"] not in STATES:
            raise StoreError(f"{values['state']!r} is no state of a run.")
        if "tags" in values:
            values["tags"] = cleaned(values["tags"])
        values |= {name: json.dumps(values[name]) for name in _JSON if name in values}
        change = update(runs).where(runs.c.id == run_id)
        if values.get("state", FINAL) != FINAL:
            change = change.where(runs.c.state != FINAL)
        if holding is not None:
            change = change.where(runs.c.claim == holding, runs.c.state.in_(WITH_WORKER))
        with self.db.writing() as connection:
            if connection.execute(change.values(**values)).rowcount:
                return
        found = self.run(run_id)
        if holding is not None and (found.claim != holding or found.state not in WITH_WORKER):
            raise Lost("This run is not this worker's any more; it was not heard from for too long.")
        raise StoreError(f"This run is {found.state}; it cannot become {values.get('state')}.")

    def heartbeat(self, run_id: str, *, holding: str | None = None, **values: Any) -> None:
        """Note that a run's worker is alive, and how far it is: its epoch, step and summary.

        Raises:
            Lost: the run is not that worker's any more, which held the claim `holding`.
        """
        self.update_run(run_id, holding=holding, heartbeat_at=datetime.now(UTC), **values)

    def delete_run(self, run_id: str) -> None:
        """Forget a run with its points and its folder.

        Raises:
            StoreError: that is no id of a run.
        """
        with self.db.writing() as connection:
            connection.execute(delete(runs).where(runs.c.id == run_id))
        self.delete_run_folder(run_id)

    def delete_run_folder(self, run_id: str) -> None:
        shutil.rmtree(self.run_folder(run_id), ignore_errors=True)

    def run_folder(self, run_id: str) -> Path:
        """Where a run keeps its files. The name on disk is the run's UUID, whatever its title is.

        Raises:
            StoreError: that is no id of a run.
        """
        try:
            return self.home / "runs" / str(uuid.UUID(run_id))
        except ValueError:
            raise Missing("There is no such run; it may have been deleted.") from None

    def add_points(self, run_id: str, rows: Sequence[Point]) -> None:
        """Append points to a run's curves, all or none. Values that are no number are left out."""
        values = [
            {
                "run_id": run_id,
                "step": row[0],
                "epoch": row[1],
                "split": row[2],
                "name": row[3],
                "value": row[4],
                "at": row[5],
            }
            for row in rows
            if math.isfinite(row[4])
        ]
        if values:
            with self.db.writing() as connection:
                connection.execute(insert(points), values)

    def points(self, run_id: str, after: int = 0) -> Points:
        """The points that were added after row `after`, in the order in which they came."""
        query = (
            select(
                points.c.step, points.c.epoch, points.c.split, points.c.name, points.c.value, points.c.at, points.c.id
            )
            .where(points.c.run_id == run_id, points.c.id > after)
            .order_by(points.c.id)
        )
        with self.db.reading() as connection:
            rows = connection.execute(query).all()
        step, epoch, split, name, value, at, ids = zip(*rows, strict=True) if rows else ((),) * 7
        return Points(
            list(step), list(epoch), list(split), list(name), list(value), list(at), ids[-1] if ids else after
        )

    def curves(
        self, run_ids: Sequence[str], name: str, split: str = "validation"
    ) -> dict[str, list[tuple[int, float]]]:
        """Epochs and values of one measure, of several runs at once."""
        found: dict[str, list[tuple[int, float]]] = {run_id: [] for run_id in run_ids}
        with self.db.reading() as connection:
            for start in range(0, len(run_ids), _IDS_AT_ONCE):
                part = list(run_ids[start : start + _IDS_AT_ONCE])
                query = select(points.c.run_id, points.c.epoch, points.c.value).order_by(points.c.id)
                query = query.where(points.c.run_id.in_(part), points.c.split == split, points.c.name == name)
                for row in connection.execute(query):
                    found[row.run_id].append((row.epoch, row.value))
        return found

    def drop_points_after(self, run_id: str, step: int) -> None:
        """Forget the points behind `step`, so that a resumed run writes them anew and no curve has a double point."""
        with self.db.writing() as connection:
            connection.execute(delete(points).where(points.c.run_id == run_id, points.c.step > step))

    def command(self, run_id: str, kind: str, value: float | None = None, text: str = "") -> None:
        """Ask a run's worker for something.

        Raises:
            StoreError: there is no such command.
        """
        if kind not in COMMANDS:
            raise StoreError(f"{kind!r} is no command; a run takes {', '.join(COMMANDS)}.")
        with self.db.writing() as connection:
            row = {"run_id": run_id, "kind": kind, "value": value, "text": text, "created_at": datetime.now(UTC)}
            connection.execute(insert(commands).values(**row))

    def asked(self, run_id: str) -> int | None:
        """The number of the first command that waits for a run; None where none does."""
        query = select(commands.c.id).where(commands.c.run_id == run_id).order_by(commands.c.id).limit(1)
        with self.db.reading() as connection:
            return connection.execute(query).scalar()

    def take_commands(self, run_id: str) -> list[Command]:
        """The commands that wait for a run, each handed out once."""
        mine = commands.c.run_id == run_id
        with self.db.reading() as connection:  # which every worker asks all the time
            if connection.execute(_ASKED, {"run": run_id}).first() is None:
                return []
        with self.db.writing() as connection:
            rows = connection.execute(select(commands).where(mine).order_by(commands.c.id).with_for_update()).all()
            connection.execute(delete(commands).where(commands.c.id.in_([row.id for row in rows])))
        return [Command(row.kind, row.value, row.text) for row in rows]


def as_run(row: Any) -> Run:
    """A row of the table as a run."""
    values = dict(row._mapping)
    values |= {name: json.loads(values[name]) for name in _JSON}
    values["tags"] = tuple(values["tags"])
    return Run(**values)


def cleaned(tags: Sequence[str]) -> list[str]:
    """Tags as they are kept: on one line, none empty, each once.

    Raises:
        StoreError: there are too many, or one is too long.
    """
    found = list(dict.fromkeys(word for tag in tags if (word := plain(tag))))
    if len(found) > MAX_TAGS:
        raise StoreError(f"A run has at most {MAX_TAGS} tags, received {len(found)}.")
    for tag in found:
        if len(tag) > MAX_TAG:
            raise StoreError(f"A tag has at most {MAX_TAG} letters; {tag[:20]!r}… has {len(tag)}.")
    return found
