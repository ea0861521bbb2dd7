"""The commands to the workers of runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import bindparam, delete, insert, select

from netloom.store.database import Database, StoreError
from netloom.store.schema import commands
from netloom.store.states import check_claim

COMMANDS = ("pause", "resume", "stop", "learning_rate", "schedule")
# Created once, because constructing a statement takes as long as executing it.
_PENDING = select(commands.c.id).where(commands.c.run_id == bindparam("run")).limit(1)


@dataclass(frozen=True)
class Command:
    """A command to a worker."""

    kind: str
    value: float | None
    text: str = ""


class Commands:
    """The part of the store for commands to workers."""

    db: Database

    def command(self, run_id: str, kind: str, value: float | None = None, text: str = "") -> None:
        """Send a command to the worker of a run.

        Raises:
            StoreError: there is no such command.
        """
        if kind not in COMMANDS:
            raise StoreError(f"{kind!r} is not a command; a run takes {', '.join(COMMANDS)}.")
        with self.db.writing() as connection:
            row = {"run_id": run_id, "kind": kind, "value": value, "text": text, "created_at": datetime.now(UTC)}
            connection.execute(insert(commands).values(**row))

    def pending_command(self, run_id: str) -> int | None:
        """Return the number of the first pending command of a run; None if there is none."""
        query = select(commands.c.id).where(commands.c.run_id == run_id).order_by(commands.c.id).limit(1)
        with self.db.reading() as connection:
            return connection.execute(query).scalar()

    def take_commands(self, run_id: str, *, holding: str | None = None) -> list[Command]:
        """Return the pending commands of a run, each exactly once.

        Raises:
            ClaimLostError: the claim `holding` is not valid any more; the commands remain for another worker.
        """
        mine = commands.c.run_id == run_id
        with self.db.reading() as connection:  # fast path, because every worker polls all the time
            if connection.execute(_PENDING, {"run": run_id}).first() is None:
                return []
        with self.db.writing() as connection:
            if holding is not None:
                check_claim(connection, run_id, holding)
            rows = connection.execute(select(commands).where(mine).order_by(commands.c.id).with_for_update()).all()
            connection.execute(delete(commands).where(commands.c.id.in_([row.id for row in rows])))
        return [Command(row.kind, row.value, row.text) for row in rows]
