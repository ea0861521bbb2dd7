"""Runs that wait for a worker: whose turn it is, and that each is started once, however many processes look."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select, text, update

from builder.store.database import Database, Missing, StoreError
from builder.store.host import here
from builder.store.runs import FINAL, WITH_WORKER, Run, as_run
from builder.store.schema import runs

_LOCK = 0x71756575
_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)


class Full(StoreError):  # noqa: N818  (that is what it is)
    """As many runs wait as may wait."""


@dataclass(frozen=True)
class Limits:
    """How many runs may have a worker: on this machine, of one owner, and on each of `gpus`; and how many may wait."""

    workers: int = 1
    each: int = 1
    waiting_each: int = 3
    gpus: int = 0
    per_gpu: int = 1


class Queue:
    """The part of the store that says which run is next."""

    db: Database

    def room(self, owner: str, limits: Limits) -> int:
        """How many more runs of an owner may be started now or wait.

        Raises:
            Full: none.
        """
        active = select(func.count()).where(runs.c.owner == owner, runs.c.state.in_(("waiting", *WITH_WORKER)))
        with self.db.reading() as connection:
            found = int(connection.execute(active).scalar_one())
        left = limits.each + limits.waiting_each - found
        if left <= 0:
            raise Full(
                f"You have {found} runs that train or wait; at most {limits.each} can train and "
                f"{limits.waiting_each} wait. Let one end, or stop one, and start this again."
            )
        return left

    def line(self) -> list[Run]:
        """The runs that wait, the next one first: owners take turns, and each owner's runs keep their order."""
        with self.db.reading() as connection:
            return _line(connection)

    def enqueue(self, run_id: str, *, reopen: bool = False) -> None:
        """Let a run that ended wait for a worker again; one that finished only where it is said to `reopen`.

        Raises:
            StoreError: it goes on already, has finished, or is not there.
        """
        ended = ("failed", "stopped", FINAL) if reopen else ("failed", "stopped")
        fresh = {
            "pid": None,
            "host": None,
            "gpu": None,
            "claim": None,
            "claimed_at": None,
            "ended_at": None,
            "reason": "",
        }
        change = update(runs).where(runs.c.id == run_id, runs.c.state.in_(ended))
        with self.db.writing() as connection:
            change = change.values(state="waiting", queued_at=datetime.now(UTC), **fresh)
            if connection.execute(change).rowcount:
                return
            state = connection.execute(select(runs.c.state).where(runs.c.id == run_id)).scalar()
        if state is None:
            raise Missing("There is no such run; it may have been deleted.")
        raise StoreError(f"This run is {state}; it cannot be started again.")

    def leave_line(self, run_id: str) -> bool:
        """Stop a run that waits. Returns false where it does not, or not any more."""
        change = update(runs).where(runs.c.id == run_id, runs.c.state == "waiting")
        reason = "It was stopped before its turn came."
        with self.db.writing() as connection:
            change = change.values(state="stopped", reason=reason, ended_at=datetime.now(UTC))
            return bool(connection.execute(change).rowcount)

    def claim_next(self, limits: Limits) -> Run | None:
        """Give the next run to the caller, who starts its worker on this machine; None where none waits or there is no
        room on it.

        Looking and taking are one transaction that excludes all others of its kind.
        """
        with self.db.reading() as connection:  # most looks end here, without the lock
            if connection.execute(select(runs.c.id).where(runs.c.state == "waiting").limit(1)).first() is None:
                return None
        with self.db.writing() as connection:
            if not self.db.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            found = _choose(connection, limits)
            if found is None:
                return None
            run, gpu = found
            now, claim = datetime.now(UTC), str(uuid.uuid4())
            change = update(runs).where(runs.c.id == run.id, runs.c.state == "waiting")
            values: dict[str, Any] = {"state": "queued", "claim": claim, "claimed_at": now, "gpu": gpu, "pid": None}
            values |= {"host": here(), "heartbeat_at": None}
            connection.execute(change.values(**values))
            row = connection.execute(select(runs).where(runs.c.id == run.id)).one()
        return as_run(row)

    def set_worker(self, run_id: str, claim: str, pid: int) -> bool:
        """Note the worker of a run that was claimed. Returns false where the claim does not hold any more."""
        change = update(runs).where(runs.c.id == run_id, runs.c.claim == claim, runs.c.pid.is_(None))
        with self.db.writing() as connection:
            return bool(connection.execute(change.where(runs.c.state == "queued").values(pid=pid)).rowcount)

    def give_back(self, run: Run) -> bool:
        """Let a run wait again whose worker never came. Returns false where it came after all."""
        change = update(runs).where(runs.c.id == run.id, runs.c.state == "queued", runs.c.pid.is_(None))
        change = change.where(runs.c.claim == run.claim)
        with self.db.writing() as connection:
            return bool(
                connection.execute(change.values(state="waiting", claim=None, claimed_at=None, host=None)).rowcount
            )


def _choose(connection: Connection, limits: Limits) -> tuple[Run, int | None] | None:
    """The first in the line for whom there is room, and its GPU."""
    query = select(runs.c.owner, runs.c.gpu, runs.c.host).where(runs.c.state.in_(WITH_WORKER))
    going = connection.execute(query).all()
    busy = [row for row in going if row.host in (None, here())]
    if len(busy) >= limits.workers:
        return None
    owners = Counter(row.owner for row in going)
    for run in _line(connection):
        if owners[run.owner] >= limits.each:
            continue
        if run.device == "cpu" or not limits.gpus:
            return run, None
        taken = Counter(row.gpu for row in busy if row.gpu is not None)
        gpu = min(range(limits.gpus), key=lambda number: taken[number])
        if taken[gpu] < limits.per_gpu:
            return run, gpu
    return None


def _line(connection: Connection) -> list[Run]:
    waiting = connection.execute(select(runs).where(runs.c.state == "waiting")).all()
    if not waiting:
        return []
    going = (
        select(runs.c.owner, func.count().label("count")).where(runs.c.state.in_(WITH_WORKER)).group_by(runs.c.owner)
    )
    turns = Counter({row.owner: row._mapping["count"] for row in connection.execute(going)})
    last = select(runs.c.owner, func.max(runs.c.claimed_at).label("at")).group_by(runs.c.owner)
    served = {row.owner: row.at or _BEFORE_ALL for row in connection.execute(last)}
    return _in_turns([as_run(row) for row in waiting], turns, served)


def _in_turns(waiting: Sequence[Run], turns: Counter[str], served: dict[str, datetime]) -> list[Run]:
    """Everybody's first run before anybody's second; among equals whoever was served longest ago."""
    keyed = []
    for run in sorted(waiting, key=lambda run: (run.queued_at or run.created_at, run.id)):
        keyed.append(((turns[run.owner], served.get(run.owner, _BEFORE_ALL), run.queued_at or run.created_at), run))
        turns[run.owner] += 1
    return [run for _, run in sorted(keyed, key=lambda pair: pair[0])]
