"""Why a run ended is a stored cause; for runs of earlier versions, it is read from the state and the reason."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select, update

from netloom.store import ClaimLostError, Run, Store
from netloom.store.run_end import STATES, EndCause, RunEnd
from netloom.store.run_summary import RunOrigin
from netloom.store.schema import runs
from tests.store.states import put

# The ends of runs as earlier versions stored them, and their causes.
OLDER: list[tuple[str, str, EndCause]] = [
    ("finished", "", "finished"),
    ("stopped", "", "stopped"),
    ("stopped", "It was stopped while it waited in the queue.", "stopped"),
    ("stopped", "It was stopped after 2 hours, the time limit of a run; resume it to continue.", "stopped"),
    ("stopped", "Pruned: after epoch 3 its loss of 0.7 was not promising.", "pruned"),
    ("failed", "The worker process was killed (signal 9), by someone.", "lost"),
    ("failed", "The worker process ended without an error message: it was killed.", "lost"),
    ("failed", "The machine far that trained this run has not responded for 60 seconds; it was switched off.", "lost"),
    ("failed", "The loss became nan by step 10 (epoch 1).", "failed"),
    ("failed", "Training was stopped because it exceeded the memory limit of a run, 2 GiB.", "failed"),
]


def stored_origin(store: Store, run_id: str) -> dict[str, object]:
    with store.db.reading() as connection:
        stored = connection.execute(select(runs.c.about).where(runs.c.id == run_id)).scalar()
    origin: dict[str, object] = json.loads(str(stored))
    return origin


@pytest.mark.parametrize("cause", STATES)
def test_end_stores_cause_state_and_reason_until_the_run_is_queued_again(
    store: Store, run: Run, cause: EndCause
) -> None:
    put(store, run.id, "running", claim="mine", about=RunOrigin(retries=1))
    assert store.run(run.id).end_cause is None
    with pytest.raises(ClaimLostError):
        store.end_run(run.id, RunEnd(cause), holding="theirs")
    assert stored_origin(store, run.id) == {"retries": 1}
    store.end_run(run.id, RunEnd(cause, "The machine did it."), holding="mine")
    ended = store.run(run.id)
    assert (ended.state, ended.end_cause, ended.reason) == (STATES[cause], cause, "The machine did it.")
    assert ended.ended_at is not None
    store.enqueue(ended, reopen=True)
    assert store.run(run.id).end_cause is None
    assert stored_origin(store, run.id) == {"retries": 1}


@pytest.mark.parametrize(("state", "reason", "cause"), OLDER)
def test_end_in_an_earlier_version_has_its_cause(
    store: Store, run: Run, state: str, reason: str, cause: EndCause
) -> None:
    put(store, run.id, state, reason=reason)
    assert stored_origin(store, run.id) == {}
    assert store.run(run.id).end_cause == cause


def test_unknown_cause_of_a_newer_version_is_read_from_the_state(store: Store, run: Run) -> None:
    put(store, run.id, "failed")
    about = json.dumps({"end_cause": "evicted", "halted": True})
    with store.db.writing() as connection:
        connection.execute(update(runs).where(runs.c.id == run.id).values(about=about))
    newer = store.run(run.id)
    assert (newer.end_cause, newer.about.halted) == ("failed", True)
