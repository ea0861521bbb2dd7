"""The importance of hyperparameters, computed by a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netloom.jobs import Pool
from netloom.jobs.requests.hyperparameters import RunImportance, SweepImportance
from netloom.runs.search import sweeps
from netloom.store import open_store
from tests.jobs.test_pool import job_result
from tests.runs.examples import moons


def test_setting_that_determines_the_results_is_important(pool: Pool, home: Path) -> None:
    settings: dict[str, list[Any]] = {"rate": [0.1, 0.01, 0.001] * 4, "optimizer": ["adam", "sgd", "adam", "sgd"] * 3}
    shares = job_result(pool.submit(RunImportance(settings, [1.0, 2.0, 3.0] * 4), home))
    assert shares["rate"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)
    assert job_result(pool.submit(RunImportance({"rate": [0.1]}, [1.0]), home)) == {}


def test_only_complete_trials_of_a_sweep_count(pool: Pool, home: Path) -> None:
    store, project = open_store(home), moons()
    space = {"training.learning_rate": {"low": 0.001, "high": 0.1}, "training.seed": {"choices": [1, 2]}}
    sweep = store.create_sweep(store.create_project(project), project, sweeps.plan(project, space, trials=8))
    for number in range(8):
        assigned = {"training.learning_rate": 0.01 * (number + 1), "training.seed": 1 + number % 2}
        store.fail_trial(sweep.id, number, assigned, "")
        store.end_trial(sweep.id, store.trials(sweep.id)[number], "complete", float(number))
    trials = store.trials(sweep.id)
    complete = tuple(trial.number for trial in trials if trial.state == "complete")
    shares = job_result(pool.submit(SweepImportance(sweep.id, complete), home))
    assert shares == sweeps.importance(sweep, trials)
    assert job_result(pool.submit(SweepImportance(sweep.id, complete[:2]), home)) == {}
