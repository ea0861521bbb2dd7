"""The queue of waiting runs: their order, and the guarantee that each is started once, by any number of processes."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from netloom.store.database import Database, NotFoundError
from netloom.store.host import current_host
from netloom.store.limits import Limits, exclude, free_run_count, require_free_run
from netloom.store.origins import merged_about
from netloom.store.run_end import RunEnd
from netloom.store.run_summary import RunOrigin
from netloom.store.runs import Run, as_run
from netloom.store.schema import commands, runs
from netloom.store.states import ENDED, FINAL, WITH_WORKER, ClaimLostError, change_state, end_run, with_claim

_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)


class Queue:
    """The part of the store for the queue."""

    db: Database

    def free_run_count(self, owner: str, limits: Limits) -> int:
        """Return the number of runs that an owner can still start or queue.

        Raises:
            QueueFullError: it is 0.
        """
        with self.db.reading() as connection:
            return free_run_count(connection, owner, limits)

    def line(self) -> list[Run]:
        """Return the waiting runs, next one first: owners take turns, and the runs of an owner keep their order."""
        with self.db.reading() as connection:
            return _line(connection)

    def enqueue(
        self,
        run: Run,
        *,
        reopen: bool = False,
        owner: str | None = None,
        about: RunOrigin | None = None,
        limits: Limits | None = None,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        """Add a run that ended to the queue, for `owner`, by default for the owner of the run. A finished run needs
        `reopen`. In one transaction, pending commands are removed, `about` is merged into its origin, and `prepare` is
        called: no other process can start the run then, so `prepare` can write to its folder.

        Raises:
            QueueFullError: the owner has as many waiting runs as `limits` allow.
            StoreError: the run is active, has finished, was started and ended since `run` was read, or does not exist.
        """
        owner = run.owner if owner is None else owner
        fresh = dict.fromkeys(("pid", "host", "gpu", "claim", "claimed_at", "ended_at"))
        values: dict[str, Any] = {**fresh, "queued_at": datetime.now(UTC), "reason": "", "owner": owner}
        was = ENDED if reopen else tuple(state for state in ENDED if state != FINAL)
        with self.db.writing() as connection:
            if limits is not None:
                require_free_run(connection, owner, limits)
            values["about"] = merged_about(connection, run.id, about or RunOrigin(), without=("end_cause",))
            change_state(connection, run.id, "waiting", holding=run.claim, was=was, **values)
            connection.execute(delete(commands).where(commands.c.run_id == run.id))
            if prepare is not None:
                prepare()

    def leave_line(self, run_id: str) -> bool:
        """Stop a waiting run. Returns False if it does not wait any more."""
        end = RunEnd("stopped", "It was stopped while it waited in the queue.")
        with suppress(ClaimLostError, NotFoundError), self.db.writing() as connection:
            end_run(connection, run_id, end, holding=None, was=("waiting",))
            return True
        return False

    def claim_next(self, limits: Limits) -> Run | None:
        """Claim the next run for the caller, who starts its worker on this machine; None if no run waits or this
        machine has no free place.

        Reading and claiming are one transaction, which excludes all others of its kind.
        """
        with self.db.reading() as connection:  # most calls end here, without the lock
            if connection.execute(select(runs.c.id).where(runs.c.state == "waiting").limit(1)).first() is None:
                return None
        with self.db.writing() as connection:
            exclude(connection)
            candidate = _choose(connection, limits)
            if candidate is None:
                return None
            run, gpu = candidate
            # A new claim each time: a worker of an earlier attempt that is still alive fails at its next write
            claimed_at, claim = datetime.now(UTC), str(uuid.uuid4())
            values: dict[str, Any] = {
                "claimed_at": claimed_at,
                "gpu": gpu,
                "pid": None,
                "host": current_host(),
                "heartbeat_at": None,
            }
            change_state(connection, run.id, "queued", holding=run.claim, claim=claim, **values)
            row = connection.execute(select(runs).where(runs.c.id == run.id)).one()
        return as_run(row)

    def set_worker(self, run_id: str, claim: str, pid: int) -> bool:
        """Store the worker of a claimed run. Returns False if the claim is not valid any more."""
        change = with_claim(update(runs).where(runs.c.id == run_id, runs.c.pid.is_(None)), claim)
        with self.db.writing() as connection:
            return bool(connection.execute(change.where(runs.c.state == "queued").values(pid=pid)).rowcount)

    def give_back(self, run: Run) -> bool:
        """Return a run to the queue whose worker did not start. Returns False if it did after all."""
        fresh: dict[str, Any] = dict.fromkeys(("pid", "claim", "claimed_at", "host"))
        same = runs.c.pid.is_(None) if run.pid is None else runs.c.pid == run.pid
        with suppress(ClaimLostError, NotFoundError), self.db.writing() as connection:
            change_state(connection, run.id, "waiting", holding=run.claim, was=("queued",), only=same, **fresh)
            return True
        return False

    def take_over(self, run: Run, pid: int, host: str) -> Run | None:
        """Return the run with a new claim, for a worker that replaces one that is gone; None if the claim of `run` is
        not valid any more."""
        values = {"claim": str(uuid.uuid4()), "pid": pid, "host": host, "heartbeat_at": datetime.now(UTC)}
        change = with_claim(update(runs).where(runs.c.id == run.id, runs.c.state.in_(WITH_WORKER)), run.claim)
        with self.db.writing() as connection:
            if not connection.execute(change.values(**values)).rowcount:
                return None
            return as_run(connection.execute(select(runs).where(runs.c.id == run.id)).one())


def _choose(connection: Connection, limits: Limits) -> tuple[Run, int | None] | None:
    """Return the first run in the queue with a free place, and its GPU."""
    query = select(runs.c.owner, runs.c.gpu, runs.c.host).where(runs.c.state.in_(WITH_WORKER))
    active_rows = connection.execute(query).all()
    # Runs from before migration 0004 have no host. Limits of workers and GPUs are per machine; `each` is over all.
    busy = [row for row in active_rows if row.host in (None, current_host())]
    if len(busy) >= limits.workers:
        return None
    owners = Counter(row.owner for row in active_rows)
    for run in _line(connection):
        if owners[run.owner] >= limits.each:
            continue
        if run.device == "cpu" or not limits.gpus:
            return run, None
        runs_per_gpu = Counter(row.gpu for row in busy if row.gpu is not None)
        gpu = min(range(limits.gpus), key=lambda number: runs_per_gpu[number])
        # Otherwise a later run in the queue that uses the CPU can start
        if runs_per_gpu[gpu] < limits.per_gpu:
            return run, gpu
    return None


def _line(connection: Connection) -> list[Run]:
    waiting = connection.execute(select(runs).where(runs.c.state == "waiting")).all()
    if not waiting:
        return []
    going = (
        select(runs.c.owner, func.count().label("count")).where(runs.c.state.in_(WITH_WORKER)).group_by(runs.c.owner)
    )
    active_counts = Counter({row.owner: row._mapping["count"] for row in connection.execute(going)})
    last = select(runs.c.owner, func.max(runs.c.claimed_at).label("at")).group_by(runs.c.owner)
    served = {row.owner: row.at or _BEFORE_ALL for row in connection.execute(last)}
    return _alternating_owners([as_run(row) for row in waiting], active_counts, served)


def _alternating_owners(waiting: Sequence[Run], active_counts: Counter[str], served: dict[str, datetime]) -> list[Run]:
    """Return the first run of each owner before any second one; among equals, the owner that was served longest ago
    first."""
    keyed = []
    for run in sorted(waiting, key=lambda run: (run.queued_at or run.created_at, run.id)):
        keyed.append(
            ((active_counts[run.owner], served.get(run.owner, _BEFORE_ALL), run.queued_at or run.created_at), run)
        )
        active_counts[run.owner] += 1
    return [run for _, run in sorted(keyed, key=lambda pair: pair[0])]
