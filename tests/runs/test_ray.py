"""Runs and sweeps on a real Ray cluster with 2 CPUs: its workers are processes, and one of them is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from netloom.document import loads
from netloom.runs import ACTIVE, evaluation, fit_here, pause, refresh, resume_paused, start
from netloom.runs.cluster.manifest import DOCUMENT, rayjob
from netloom.runs.prediction.trained_run import evaluate
from netloom.runs.search import sweep_trials, sweeps, tune_drivers
from netloom.store import Run, Store
from tests.networks import digits_mlp
from tests.runs.examples import check_curves, store_in, until, until_state, wait_for_workers

pytestmark = pytest.mark.timeout(900)
WAIT_S = 400.0


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of one cluster for all tests of this module."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # socket paths have to be short
    command = [sys.executable, "-m", "tests.runs.cluster", folder]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        address_line = child.stdout.readline().strip()
        assert address_line, "no cluster"
        yield address_line
    finally:
        descendants = psutil.Process(child.pid).children(recursive=True)
        child.kill()  # an orderly shutdown takes seconds
        child.communicate()
        for process in descendants:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(descendants, timeout=5)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def store(address: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # a process per group, not needed
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # how soon a lost worker is noticed; by default 2
    store = store_in(home)
    yield store
    for run in store.active_runs():
        if run.pid and psutil.pid_exists(run.pid):
            os.kill(run.pid, signal.SIGKILL)
    wait_for_workers(60)
    for driver in tune_drivers.drivers().values():
        driver.wait(60)
    store.close()


def wait_until_ended(store: Store, run_id: str) -> Run:
    def has_ended() -> bool:
        return refresh(store, run_id).state not in ACTIVE

    until(has_ended, WAIT_S)
    return store.run(run_id)


def events(store: Store, run_id: str, name: str) -> list[dict[str, Any]]:
    path = store.artifacts(run_id).local_directory() / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [value for line in lines if (value := json.loads(line))["event"] == name]


def kill_rank(store: Store, run_id: str, rank: int) -> int:
    """Kill the worker of a rank during training. Returns the step of the last checkpoint before."""
    pause(store, run_id)
    until_state(store, run_id, "paused", WAIT_S)
    checkpoint_step = store.run(run_id).step
    # The pause saved a checkpoint; now the run continues for a while and loses the worker.
    resume_paused(store, run_id)
    until(lambda: store.run(run_id).step > checkpoint_step, WAIT_S)
    os.kill(events(store, run_id, "ranks")[-1]["ranks"][rank]["pid"], signal.SIGKILL)
    return checkpoint_step


# Rank 0 has the store, the checkpoints and the curves; the other rank only computes.
@pytest.mark.first
@pytest.mark.parametrize("lost", [(0,), pytest.param((1, 0), marks=pytest.mark.long)])
def test_run_that_loses_workers_matches_a_single_machine(lost: tuple[int, ...], store: Store) -> None:
    project = digits_mlp(epochs=12, batch_size=32, optimizer="sgd", learning_rate=0.1, device="cpu")
    run_id = start(store, store.create_project(project), project, workers=2)
    until_state(store, run_id, "running", WAIT_S)
    for losses, rank in enumerate(lost, 1):
        checkpoint_step = kill_rank(store, run_id, rank)
        until(lambda losses=losses: len(events(store, run_id, "restore")) == losses, WAIT_S)  # type: ignore[misc]
        assert events(store, run_id, "restore")[-1]["step"] >= checkpoint_step

    run = wait_until_ended(store, run_id)
    assert (run.state, run.reason) == ("finished", "")
    groups = [[worker["pid"] for worker in event["ranks"]] for event in events(store, run_id, "ranks")]
    assert [len(group) for group in groups] == [2] * (len(lost) + 1), "another group of workers after each loss"
    for rank, group, later in zip(lost, groups, groups[1:], strict=False):
        assert group[rank] not in later
    points = store.points(run_id)
    check_curves(points, 12)
    steps = [step for step, name in zip(points.step, points.name, strict=True) if name == "batch_loss"]
    assert steps[-1] == run.step == run.total_steps

    local = fit_here(project, store.home)
    expected, stored = evaluate(local).metrics, evaluation(store, run_id)
    assert stored is not None
    assert stored.metrics["accuracy"] == pytest.approx(expected["accuracy"], abs=0.01)
    assert stored.metrics["loss"] == pytest.approx(expected["loss"], rel=0.02)


@pytest.mark.long
def test_rayjob_entrypoint_trains_in_a_ray_job(store: Store, address: str, tmp_path: Path) -> None:
    """With the environment of a submitted Ray job, as KubeRay submits it."""
    project = digits_mlp(epochs=12, batch_size=32, learning_rate=3e-3, device="cpu")
    config, job = yaml.safe_load_all(rayjob(project, 2, "netloom"))
    document = tmp_path / "project.json"
    document.write_text(config["data"]["project.json"])
    command = job["spec"]["entrypoint"].replace(DOCUMENT, str(document))
    submitted = {"runtime_env": {"env_vars": {"MORE": "1"}}, "metadata": {"job_submission_id": "raysubmit_1"}}
    environment = {**os.environ, "NETLOOM_HOME": str(store.home), "RAY_ADDRESS": address}
    environment |= {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(submitted), "PYTHONUNBUFFERED": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    result = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, timeout=WAIT_S)
    assert result.returncode == 0, result.stdout + result.stderr
    (run,) = store.runs()
    assert (run.state, run.reason) == ("finished", "")
    (group,) = events(store, run.id, "ranks")
    assert len(group["ranks"]) == 2
    check_curves(store.points(run.id), 12)
    assert loads((store.artifacts(run.id).local_directory() / "project.json").read_text()) == project
    stored = evaluation(store, run.id)
    assert stored is not None
    assert stored.metrics["accuracy"] == pytest.approx(
        evaluate(fit_here(project, store.home)).metrics["accuracy"], abs=0.01
    )


@pytest.mark.long
def test_ray_tune_runs_the_trials_of_a_sweep(store: Store) -> None:
    project = digits_mlp(epochs=3, device="cpu")
    space = {"training.learning_rate": {"choices": [0.001, 0.003, 0.01]}}
    plan = sweeps.plan(project, space, trials=3, sampler="grid", parallel=2, backend="ray")
    sweep_id = sweeps.start(store, store.create_project(project), project, plan)

    def is_finished() -> bool:
        sweep_trials.advance_sweeps(store)
        return store.sweep(sweep_id).state != "running"

    until(is_finished, WAIT_S)
    sweep, trials = store.sweep(sweep_id), store.trials(sweep_id)
    assert (sweep.state, sweep.reason) == ("finished", "")
    assert [trial.state for trial in trials] == ["complete"] * 3
    assert [trial.assigned["training.learning_rate"] for trial in trials] == [0.001, 0.003, 0.01]
    for trial in trials:
        run = store.run(str(trial.run_id))
        assert run.state == "finished"
        assert " by Ray/" in str(run.host)
        points = store.points(run.id)
        check_curves(points, 3)
        assert trial.value == min(value for _, value in store.curves([run.id], "loss")[run.id])
    assert sweeps.best(sweep, trials) == min(trials, key=lambda trial: trial.value or 9.0)
    folder = next((store.home / "ray").glob(f"sweep-{sweep_id}"))
    # Tune records the last result after the run has ended.
    until(lambda: len(list(folder.glob("*/result.json"))) == 3, WAIT_S)
