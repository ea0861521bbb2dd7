"""The states of a run, and the only function that changes them: each change requires the claim that its caller knows.

Several servers, terminals and workers can monitor a run at once. A caller decides on a change from values that it read
a moment ago; if the run was claimed by another process meanwhile, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, select, update

from netloom.store.database import Database, NotFoundError, StoreError
from netloom.store.origins import merged_about
from netloom.store.run_end import RunEnd
from netloom.store.run_summary import RunOrigin
from netloom.store.schema import runs

# A finished run is final unless it is reopened to be extended; one that failed or was stopped can be resumed.
FINAL = "finished"
ENDED = (FINAL, "stopped", "failed")
# A waiting run has no worker; a queued one has been assigned a worker, which starts.
WITH_WORKER = ("queued", "running", "paused", "stopping")
STATES = ("waiting", *WITH_WORKER, *ENDED)
# The allowed previous states of each state.
BEFORE: dict[str, tuple[str, ...]] = {
    "waiting": ("queued", *ENDED),
    "queued": ("waiting",),
    "running": WITH_WORKER,  # again when a cluster restarts its workers
    "paused": ("queued", "running"),
    "stopping": WITH_WORKER,
    "finished": WITH_WORKER,
    "stopped": ("waiting", *WITH_WORKER),
    "failed": WITH_WORKER,
}


class ClaimLostError(StoreError):
    """The run was claimed by another process, or given up, since the caller read it."""


class States:
    """The part of the store that changes the states of runs."""

    db: Database

    def change_state(
        self, run_id: str, state: str, *, holding: str | None, was: Sequence[str] = (), **values: Any
    ) -> None:
        """Change the state of a run whose claim is `holding` (None: unclaimed), with other fields of its row.

        `was` restricts the previous states. The check and the change are one statement.

        Raises:
            ClaimLostError: the run has another claim or another state by now; nothing was changed.
            NotFoundError: there is no such run.
            StoreError: there is no such state.
        """
        with self.db.writing() as connection:
            change_state(connection, run_id, state, holding=holding, was=was, **values)

    def end_run(self, run_id: str, end: RunEnd, *, holding: str | None) -> None:
        """End a run whose claim is `holding`.

        Raises:
            ClaimLostError: the run has another claim by now, or has ended; nothing was changed.
            NotFoundError: there is no such run.
        """
        with self.db.writing() as connection:
            end_run(connection, run_id, end, holding=holding)


def end_run(connection: Connection, run_id: str, end: RunEnd, *, holding: str | None, was: Sequence[str] = ()) -> None:
    """End a run as `States.end_run`, within a transaction."""
    values: dict[str, Any] = {"reason": end.reason, "ended_at": datetime.now(UTC)}
    values["about"] = merged_about(connection, run_id, RunOrigin(end_cause=end.cause))
    change_state(connection, run_id, end.state, holding=holding, was=was, **values)


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
    """Change the state as `States.change_state`, within a transaction; `only` is an additional condition on the row."""
    if state not in BEFORE:
        raise StoreError(f"{state!r} is not a state of a run; there are {', '.join(STATES)}.")
    change = with_claim(update(runs).where(runs.c.id == run_id), holding)
    change = change.where(runs.c.state.in_(tuple(was) or BEFORE[state]))
    if only is not None:
        change = change.where(only)
    if not connection.execute(change.values(state=state, **values)).rowcount:
        raise lost(connection, run_id, holding, state)


def check_claim(connection: Connection, run_id: str, holding: str | None) -> None:
    """Check in a transaction that a run has this claim, and keep it until the end of the transaction.

    Raises:
        ClaimLostError: the claim is not valid, or not any more.
        NotFoundError: there is no such run.
    """
    query = select(runs.c.claim, runs.c.state).where(runs.c.id == run_id).with_for_update()
    row = connection.execute(query).first()
    if row is None or row.claim != holding or row.state not in WITH_WORKER:
        raise lost(connection, run_id, holding)


def with_claim(change: Update, holding: str | None) -> Update:
    """Return the update restricted to rows with this claim."""
    return change.where(runs.c.claim.is_(None) if holding is None else runs.c.claim == holding)


def lost(connection: Connection, run_id: str, holding: str | None, state: str = "") -> StoreError:
    """Return the error that explains why a change was not made."""
    row = connection.execute(select(runs.c.claim, runs.c.state).where(runs.c.id == run_id)).first()
    if row is None:
        return NotFoundError("There is no such run; it may have been deleted.")
    if row.state in ENDED or row.claim == holding:
        return ClaimLostError(f"This run is {row.state}{f'; it cannot become {state}' if state else ''}.")
    return ClaimLostError(f"This run is {row.state} with another worker; whoever changes it has to look at it again.")
