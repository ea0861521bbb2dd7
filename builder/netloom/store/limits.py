"""How many runs may train and wait, and whether there is room for one more of an owner."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from netloom.store.database import StoreError
from netloom.store.schema import runs
from netloom.store.states import WITH_WORKER

_LOCK = 0x71756575


class QueueFullError(StoreError):
    """As many runs wait as may wait."""


@dataclass(frozen=True)
class Limits:
    """How many runs may have a worker: on this machine, of one owner, and on each of `gpus`; and how many may wait."""

    workers: int = 1
    each: int = 1
    waiting_each: int = 3
    gpus: int = 0
    per_gpu: int = 1


def room(connection: Connection, owner: str, limits: Limits) -> int:
    """How many more runs of an owner may be started now or wait.

    Raises:
        QueueFullError: none.
    """
    active = select(func.count()).where(runs.c.owner == owner, runs.c.state.in_(("waiting", *WITH_WORKER)))
    active_count = int(connection.execute(active).scalar_one())
    free_slots = limits.each + limits.waiting_each - active_count
    if free_slots <= 0:
        raise QueueFullError(
            f"You have {active_count} runs that train or wait; at most {limits.each} can train and "
            f"{limits.waiting_each} wait. Let one end, or stop one, and start this again."
        )
    return free_slots


def check_room(connection: Connection, owner: str, limits: Limits) -> None:
    """As `room`, within a transaction that adds a run: others that do so wait until it is over.

    Raises:
        QueueFullError: there is none.
    """
    exclude(connection)
    room(connection, owner, limits)


def exclude(connection: Connection) -> None:
    """Let one transaction at a time change what is in the queue. On SQLite every transaction that writes is alone."""
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
