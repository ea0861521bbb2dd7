"""Runs, sweeps and trials in any initial state, without checking claims."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from netloom.store import Store
from netloom.store.schema import runs, sweeps
from netloom.store.sweeps import SweepPlan


def sweep_plan(trials: int) -> SweepPlan:
    """A plan for a search over seeds."""
    return {
        "kind": "search",
        "space": {"training.seed": {"choices": list(range(trials))}},
        "trials": trials,
        "sampler": "grid",
        "pruner": "none",
        "metric": "loss",
        "direction": "minimize",
        "seed": 0,
        "parallel": 1,
        "epochs": 1,
        "backend": "",
    }


def put(store: Store, run_id: str, state: str, **values: Any) -> None:
    """Set the state of a run, and optionally other fields."""
    with store.db.writing() as connection:
        connection.execute(update(runs).where(runs.c.id == run_id).values(state=state))
    if values:
        store.update_run(run_id, **values)


def put_sweep(store: Store, sweep_id: str, state: str) -> None:
    """Set the state of a sweep."""
    with store.db.writing() as connection:
        connection.execute(update(sweeps).where(sweeps.c.id == sweep_id).values(state=state))
