"""The states of a run, and the one function that changes them: each change names the claim that its author knows.

A run may be looked at by several servers, terminals and workers at once. Whoever changes its state does so on the
strength of what it read a moment ago; where the run was given to another meanwhile, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, select, update

from netloom.store.database import Database, NotFoundError, StoreError
from netloom.store.schema import runs

# A run that finished stays so, save where it is reopened to be extended; one that failed or was stopped can be resumed.
FINAL = "finished"
ENDED = (FINAL, "stopped", "failed")
# One that waits has no worker yet; one that is queued has been given one, which starts.
WITH_WORKER = ("queued", "running", "paused", "stopping")
STATES = ("waiting", *WITH_WORKER, *ENDED)
# From which states each state is reached.
BEFORE: dict[str, tuple[str, ...]] = {
    "waiting": ("queued", *ENDED),
    "queued": ("waiting",),
    "running": WITH_WORKER,  # again where a cluster starts its workers anew
    "paused": ("queued", "running"),
    "stopping": WITH_WORKER,
    "finished": WITH_WORKER,
    "stopped": ("waiting", *WITH_WORKER),
    "failed": WITH_WORKER,
}


class ClaimLostError(StoreError):
    """A run was given to another, or given up, since its author looked at it."""


class States:
    """The part of the store that changes the states of runs."""

    db: Database

    def change_state(
        self, run_id: str, state: str, *, holding: str | None, was: Sequence[str] = (), **values: Any
    ) -> None:
        """Bring a run whose claim is `holding` (None: nobody has claimed it) into a state, with other fields of its
        row.

        `was` narrows the states from which it is reached. The look and the change are one statement.

        Raises:
            ClaimLostError: the run is held with another claim, or in another state, by now; nothing was changed.
            NotFoundError: there is no such run.
            StoreError: there is no such state.
        """
        with self.db.writing() as connection:
            change_state(connection, run_id, state, holding=holding, was=was, **values)


def change_state(
    connection: Connection,
    run_id: str,
    state: str,
    *,
    holding: str | None,
    was: Sequence[str] = (),
    only: ColumnElement[bool] | None = None,
    **values: Any,
) -> None:
    """As `States.change_state`, within a transaction that has more to do, and `only` where something else holds too."""
    if state not in BEFORE:
        raise StoreError(f"{state!r} is not a state of a run; there are {', '.join(STATES)}.")
    change = with_claim(update(runs).where(runs.c.id == run_id), holding)
    change = change.where(runs.c.state.in_(tuple(was) or BEFORE[state]))
    if only is not None:
        change = change.where(only)
    if not connection.execute(change.values(state=state, **values)).rowcount:
        raise lost(connection, run_id, holding, state)


def check_claim(connection: Connection, run_id: str, holding: str | None) -> None:
    """Within a transaction that reads or writes for a worker: its run is held with that claim, to the end of it.

    Raises:
        ClaimLostError: it is not, or not any more.
        NotFoundError: there is no such run.
    """
    query = select(runs.c.claim, runs.c.state).where(runs.c.id == run_id).with_for_update()
    row = connection.execute(query).first()
    if row is None or row.claim != holding or row.state not in WITH_WORKER:
        raise lost(connection, run_id, holding)


def with_claim(change: Update, holding: str | None) -> Update:
    """The change, of rows that have that claim alone."""
    return change.where(runs.c.claim.is_(None) if holding is None else runs.c.claim == holding)


def lost(connection: Connection, run_id: str, holding: str | None, state: str = "") -> StoreError:
    """Why a change was not made."""
    row = connection.execute(select(runs.c.claim, runs.c.state).where(runs.c.id == run_id)).first()
    if row is None:
        return NotFoundError("There is no such run; it may have been deleted.")
    if row.state in ENDED or row.claim == holding:
        return ClaimLostError(f"This run is {row.state}{f'; it cannot become {state}' if state else ''}.")
    return ClaimLostError(f"This run is {row.state} with another worker; whoever changes it has to look at it again.")
