"""The trials of sweeps: their starts, and the results of ended ones."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime

from netloom.compile import CompileError
from netloom.data import DataError
from netloom.document import DocumentError, loads
from netloom.runs import cluster, control
from netloom.runs.execution.trial_pruner import monitored_curves
from netloom.runs.resources.capacity import limits
from netloom.runs.search import tune_drivers
from netloom.runs.search.samplers import suggest
from netloom.runs.search.search_space import SpaceError, assign
from netloom.store import NotFoundError, QueueFullError, Run, Store, StoreError, Sweep, Trial
from netloom.store.run_summary import RunOrigin, SweepTrial
from netloom.training.weights.initialization import StartError
from netloom.validation.issue import Issue

# How often a trial is retried after its worker was killed.
RETRIES = 2
_SPOILT = (CompileError, DataError, StartError, SpaceError, DocumentError)


def advance_sweeps(store: Store) -> None:
    """Record the results of trials, start the next ones of all active sweeps, and finish sweeps without further
    trials."""
    for sweep in store.sweeps(state="running"):
        _advance(store, sweep)


def record_ended_trials(store: Store, sweep_id: str) -> list[Trial]:
    """Record the results of trials that have ended. Returns all trials."""
    sweep = store.sweep(sweep_id)
    for trial in store.trials(sweep_id):
        if trial.state == "running":
            _record_end(store, sweep, trial)
    return store.trials(sweep_id)


def _advance(store: Store, sweep: Sweep) -> None:
    trials = record_ended_trials(store, sweep.id)
    going = sum(trial.state == "running" for trial in trials)
    if sweep.plan.get("backend") == cluster.RAY and (going or len(trials) < sweep.plan["trials"]):
        tune_drivers.ensure(store, sweep, going)
        return
    while going < sweep.plan["parallel"] and len(trials) < sweep.plan["trials"]:
        if store.sweep(sweep.id).state != "running":
            return
        try:
            store.free_run_count(sweep.owner, limits())
            has_started = start_trial(store, sweep, trials) is not None
        except (QueueFullError, NotFoundError):  # the queue is full, or another process has created this trial
            return
        going += has_started
        trials = store.trials(sweep.id)
    if going == 0 and len(trials) >= sweep.plan["trials"]:
        store.change_sweep(sweep, state="finished", ended_at=datetime.now(UTC))


def start_trial(store: Store, sweep: Sweep, trials: list[Trial], worker_host: str = "") -> str | None:
    """Start the next trial. Returns its run, or None if its document cannot be trained, which is recorded in the trial.

    With a `worker_host`, the caller starts the worker, and the trial is not queued.
    """
    number = len(trials)
    assigned = suggest(sweep, trials)
    document = loads(sweep.document)
    try:
        project = assign(document, assigned, store.home)
        name = f"{sweep.title[:150]} · {number + 1}"
        return control.start(
            store,
            sweep.project_id,
            project,
            title=name,
            owner=sweep.owner,
            tags=("sweep",),
            about=RunOrigin(start=SweepTrial(sweep=sweep.id, number=number, assigned=assigned)),
            worker_host=worker_host,
        )
    except _SPOILT as error:
        store.fail_trial(sweep.id, number, assigned, _reason(error))
        return None


def _record_end(store: Store, sweep: Sweep, trial: Trial) -> None:
    """Record the result of an active trial if it has ended."""
    try:
        run = store.run(str(trial.run_id))
    except StoreError:
        store.end_trial(sweep.id, trial, "failed", None, "Its run was deleted.")
        return
    if run.state in control.ACTIVE:
        return
    value = result(store, sweep, run)
    if run.end_cause == "finished":
        state, reason = ("complete", "") if value is not None else ("failed", f"It has no {sweep.plan['metric']}.")
        store.end_trial(sweep.id, trial, state, value, reason, run=run)
    elif run.end_cause == "pruned":
        store.end_trial(sweep.id, trial, "pruned", value, run.reason, run=run)
    elif _retry(store, sweep, run):
        return
    else:
        store.end_trial(sweep.id, trial, "failed", None, run.reason or "It was stopped.", run=run)


def _retry(store: Store, sweep: Sweep, run: Run) -> bool:
    """Retry an interrupted trial: its worker was killed, or its sweep was stopped with it. The retry is counted in the
    transaction that queues it; otherwise a worker that dies at once would be detected before the count, and retried
    forever."""
    tries = run.about.retries
    is_lost = run.end_cause == "lost" and tries < RETRIES
    is_halted = run.end_cause == "stopped" and run.about.halted
    if not is_lost and not is_halted:
        return False
    with contextlib.suppress(StoreError):  # the queue is full, or another process has queued it
        control.requeue(store, run, owner=sweep.owner, about=RunOrigin(retries=tries + is_lost))
    return True


def result(store: Store, sweep: Sweep, run: Run) -> float | None:
    """Return the best value of the monitored metric on the validation rows, or on the training rows of a run without
    validation rows."""
    curve = monitored_curves(store, [run.id], sweep.plan["metric"])[run.id]
    values = [value for _, value in curve if math.isfinite(value)]
    pick = max if sweep.plan["direction"] == "maximize" else min
    return pick(values, default=None)


def _reason(error: Exception) -> str:
    issues: Sequence[Issue] = getattr(error, "issues", ())
    return issues[0].message if issues else str(error)
