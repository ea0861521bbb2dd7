"""Runs and sweeps on a real Ray cluster with two places: its workers are processes, and one of them is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from netloom.document import loads
from netloom.runs import ACTIVE, control, evaluation, fit_here, pause, proceed, refresh, start
from netloom.runs.cluster import drivers
from netloom.runs.cluster.manifest import DOCUMENT, rayjob
from netloom.runs.search import sweep_trials, sweeps
from netloom.runs.trained_run import evaluate
from netloom.store import Run, Store
from tests.networks import digits_mlp
from tests.runs.examples import check_curves, store_in, until, until_state

pytestmark = pytest.mark.timeout(900)
WAIT_S = 400.0


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a cluster that serves all tests here."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # the paths of its sockets have to be short
    command = [sys.executable, "-m", "tests.runs.cluster", folder]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        found = child.stdout.readline().strip()
        assert found, "no cluster"
        yield found
    finally:
        mine = psutil.Process(child.pid).children(recursive=True)
        child.stdin.close()
        child.wait(60)
        child.stdout.close()
        for process in psutil.wait_procs(mine, timeout=5)[1]:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def store(address: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # a process for each group; no machine here is taken
    store = store_in(home)
    yield store
    for run in store.active_runs():
        if run.pid and psutil.pid_exists(run.pid):
            os.kill(run.pid, signal.SIGKILL)
    for child in [*control.started_workers().values(), *drivers.drivers().values()]:
        child.wait(60)
    store.close()


def ended(store: Store, run_id: str) -> Run:
    def there() -> bool:
        return refresh(store, run_id).state not in ACTIVE

    until(there, WAIT_S)
    return store.run(run_id)


def events(store: Store, run_id: str, name: str) -> list[dict[str, Any]]:
    path = store.artifacts(run_id).local_directory() / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [value for line in lines if (value := json.loads(line))["event"] == name]


def killed(store: Store, run_id: str, rank: int) -> int:
    """Kill the worker of a rank while it trains. Returns the step of the last checkpoint before."""
    pause(store, run_id)
    until_state(store, run_id, "paused", WAIT_S)
    at = store.run(run_id).step
    # The checkpoint of the pause is there; now the run goes on a little, and loses the worker.
    proceed(store, run_id)
    until(lambda: store.run(run_id).step > at, WAIT_S)
    os.kill(events(store, run_id, "ranks")[-1]["ranks"][rank]["pid"], signal.SIGKILL)
    return at


# Rank 0 has the store, the checkpoints and the curves; the other only computes.
@pytest.mark.parametrize("lost", [(0,), pytest.param((1, 0), marks=pytest.mark.long)])
def test_a_run_loses_workers_and_ends_as_on_one_machine(lost: tuple[int, ...], store: Store) -> None:
    project = digits_mlp(epochs=12, batch_size=32, optimizer="sgd", learning_rate=0.1, device="cpu")
    run_id = start(store, store.create_project(project), project, workers=2)
    until_state(store, run_id, "running", WAIT_S)
    for losses, rank in enumerate(lost, 1):
        at = killed(store, run_id, rank)
        until(lambda losses=losses: len(events(store, run_id, "restore")) == losses, WAIT_S)  # type: ignore[misc]
        assert events(store, run_id, "restore")[-1]["step"] >= at

    run = ended(store, run_id)
    assert (run.state, run.reason) == ("finished", "")
    groups = [[one["pid"] for one in event["ranks"]] for event in events(store, run_id, "ranks")]
    assert [len(group) for group in groups] == [2] * (len(lost) + 1), "another group of workers after each loss"
    for rank, group, later in zip(lost, groups, groups[1:], strict=False):
        assert group[rank] not in later
    points = store.points(run_id)
    check_curves(points, 12)
    steps = [step for step, name in zip(points.step, points.name, strict=True) if name == "batch_loss"]
    assert steps[-1] == run.step == run.total_steps

    here = fit_here(project, store.home)
    expected, found = evaluate(here).metrics, evaluation(store, run_id)
    assert found is not None
    assert found.metrics["accuracy"] == pytest.approx(expected["accuracy"], abs=0.01)
    assert found.metrics["loss"] == pytest.approx(expected["loss"], rel=0.02)


@pytest.mark.long
def test_the_entrypoint_of_a_rayjob_trains_in_a_job_of_ray(store: Store, address: str, tmp_path: Path) -> None:
    """With the environment that Ray gives the command of a job that was submitted to it, as KubeRay does."""
    project = digits_mlp(epochs=12, batch_size=32, learning_rate=3e-3, device="cpu")
    config, job = yaml.safe_load_all(rayjob(project, 2, "netloom"))
    document = tmp_path / "project.json"
    document.write_text(config["data"]["project.json"])
    command = job["spec"]["entrypoint"].replace(DOCUMENT, str(document))
    submitted = {"runtime_env": {"env_vars": {"MORE": "1"}}, "metadata": {"job_submission_id": "raysubmit_1"}}
    environment = {**os.environ, "NETLOOM_HOME": str(store.home), "RAY_ADDRESS": address}
    environment |= {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(submitted), "PYTHONUNBUFFERED": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = store.runs()
    assert (run.state, run.reason) == ("finished", "")
    (group,) = events(store, run.id, "ranks")
    assert len(group["ranks"]) == 2
    check_curves(store.points(run.id), 12)
    assert loads((store.artifacts(run.id).local_directory() / "project.json").read_text()) == project
    found = evaluation(store, run.id)
    assert found is not None
    assert found.metrics["accuracy"] == pytest.approx(
        evaluate(fit_here(project, store.home)).metrics["accuracy"], abs=0.01
    )


def test_trials_of_a_sweep_are_made_by_ray_tune(store: Store) -> None:
    project = digits_mlp(epochs=3, device="cpu")
    space = {"training.learning_rate": {"choices": [0.001, 0.003, 0.01, 0.03]}}
    made = sweeps.plan(project, space, trials=4, sampler="grid", parallel=2, backend="ray")
    sweep_id = sweeps.start(store, store.create_project(project), project, made)

    def done() -> bool:
        sweep_trials.advance_sweeps(store)
        return store.sweep(sweep_id).state != "running"

    until(done, WAIT_S)
    sweep, trials = store.sweep(sweep_id), store.trials(sweep_id)
    assert (sweep.state, sweep.reason) == ("finished", "")
    assert [trial.state for trial in trials] == ["complete"] * 4
    assert [trial.assigned["training.learning_rate"] for trial in trials] == [0.001, 0.003, 0.01, 0.03]
    for trial in trials:
        run = store.run(str(trial.run_id))
        assert run.state == "finished"
        assert " by Ray/" in str(run.host)
        points = store.points(run.id)
        check_curves(points, 3)
        assert trial.value == min(value for _, value in store.curves([run.id], "loss")[run.id])
    assert sweeps.best(sweep, trials) == min(trials, key=lambda trial: trial.value or 9.0)
    folder = next((store.home / "ray").glob(f"sweep-{sweep_id}"))
    # Tune notes the last of them after the run itself has ended.
    until(lambda: len(list(folder.glob("*/result.json"))) == 4, WAIT_S)
