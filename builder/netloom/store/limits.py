"""The limits of training and waiting runs, and the free places of an owner."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from netloom.store.database import StoreError
from netloom.store.schema import runs
from netloom.store.states import WITH_WORKER

_LOCK = 0x71756575


class QueueFullError(StoreError):
    """The queue has as many waiting runs as its limit."""


@dataclass(frozen=True)
class Limits:
    """The limits of runs with a worker (on this machine, per owner, and on each of `gpus`), and of waiting runs."""

    workers: int = 1
    each: int = 1
    waiting_each: int = 3
    gpus: int = 0
    per_gpu: int = 1


def free_run_count(connection: Connection, owner: str, limits: Limits) -> int:
    """Return the number of runs that an owner can still start or queue.

    Raises:
        QueueFullError: it is 0.
    """
    active = select(func.count()).where(runs.c.owner == owner, runs.c.state.in_(("waiting", *WITH_WORKER)))
    active_count = int(connection.execute(active).scalar_one())
    free_slots = limits.each + limits.waiting_each - active_count
    if free_slots <= 0:
        raise QueueFullError(
            f"You have {active_count} runs that train or wait; at most {limits.each} can train and "
            f"{limits.waiting_each} wait. Wait until one has finished, or stop one, and try again."
        )
    return free_slots


def require_free_run(connection: Connection, owner: str, limits: Limits) -> None:
    """Check as `free_run_count`, within a transaction that adds a run; concurrent transactions wait until it ends.

    Raises:
        QueueFullError: there is no free place.
    """
    exclude(connection)
    free_run_count(connection, owner, limits)


def exclude(connection: Connection) -> None:
    """Lock the queue for this transaction. On SQLite, a writing transaction is always exclusive."""
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
