"""Real workers in sequence: with no server and with several, with killed workers, and sweeps without supervision."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from netloom.data import prepare
from netloom.document import Project
from netloom.runs import continuation, start, stop
from netloom.runs.control import started_workers
from netloom.runs.history import reproduction
from netloom.runs.history.snapshots import epoch_snapshots
from netloom.runs.resources.capacity import place
from netloom.runs.search import sweeps
from netloom.store import QueueFullError, Run, RunArtifacts, Store, open_store
from netloom.tasks.training_losses import TRAINING_LOSSES
from netloom.training.trainers.registry import build_trainer
from tests.runs.examples import Recorder, check_curves, moons, store_in, trained_here, until
from tests.store.states import put_sweep

LONG = 10_000
_SERVER = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from netloom.store import open_store\n"
    "from netloom.runs import keep\n"
    "store = open_store(Path(sys.argv[1]))\n"
    "thread = keep(store)\n"
    "print('ready', flush=True)\n"
    "time.sleep(300)\n"
)


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """A store whose workers are killed after the test, whichever process started them."""
    opened = open_store(home)
    yield opened
    for sweep in opened.sweeps(state="running"):
        put_sweep(opened, sweep.id, "stopped")
    for run in opened.active_runs():
        opened.leave_line(run.id)
    for run in opened.active_runs():
        if run.pid and psutil.pid_exists(run.pid):
            os.kill(run.pid, signal.SIGKILL)
    for child in started_workers().values():
        child.wait(20)
    opened.close()


def patience(seconds: float) -> float:
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def events(store: Store, run: Run, name: str) -> list[dict[str, object]]:
    lines = (store.artifacts(run.id).local_directory() / "log.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == name]


def metric_points(store: Store, run_id: str) -> list[tuple[int, str, str, float]]:
    points = store.points(run_id)
    rows = zip(points.step, points.split, points.name, points.value, strict=True)
    return sorted(row for row in rows if row[2] not in TRAINING_LOSSES)


def uninterrupted(project: Project, home: Path, text: str) -> list[tuple[int, str, str, float]]:
    """The same metrics from an uninterrupted trainer in this process."""
    recorder = Recorder()
    build_trainer(project, text, prepare(project.data, home)).fit(recorder)
    return sorted(
        (step, split, name, value) for step, _, split, name, value in recorder.points if name not in TRAINING_LOSSES
    )


def test_next_run_starts_once_after_a_kill_with_two_servers(store: Store, home: Path) -> None:
    servers = [
        subprocess.Popen([sys.executable, "-c", _SERVER, str(home)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        project = moons(epochs=LONG)
        short = moons(epochs=2)
        project_id = store.create_project(project)
        first = start(store, project_id, project)
        second = start(store, project_id, short)
        assert store.run(second).state == "waiting"
        assert place(store, store.run(second)) == "next in line"
        rest = [start(store, project_id, short) for _ in range(2)]
        assert place(store, store.run(rest[1])) == "3rd in line"
        with pytest.raises(QueueFullError, match="at most 1 can train and 3 wait"):
            start(store, project_id, short)
        assert len(list((home / "runs").iterdir())) == 4, "what was refused leaves nothing behind"
        for run_id in rest:
            stop(store, run_id)
        for process in servers:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        until(lambda: len(store.points(first).step) > 0, 120)
        pid = store.run(first).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: store.run(first).state == "failed", 60) <= patience(5)  # read, not refreshed
        assert "worker process" in store.run(first).reason
        until(lambda: store.run(second).state == "finished", 120)
        assert len(events(store, store.run(second), "start")) == 1
        check_curves(store.points(second), epochs=2)
        assert [store.run(run_id).state for run_id in rest] == ["stopped", "stopped"]
        stop(store, first)  # no worker is left to obey, and the command does no harm
        assert store.run(first).state == "failed"
    finally:
        for process in servers:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def test_sweep_continues_unattended_and_retries_a_killed_trial(store: Store) -> None:
    """After the start, this test only reads the tables."""
    project = moons(epochs=40)
    project_id = store.create_project(project)
    space = {"main.linear_1.units": {"choices": [8, -1, 16]}}
    sweep_id = sweeps.start(store, project_id, project, sweeps.plan(project, space, trials=9, sampler="grid"))
    until(lambda: bool(store.trials(sweep_id)), 120)
    run_id = str(store.trials(sweep_id)[0].run_id)
    until(lambda: max(store.points(run_id).epoch, default=0) >= 1, 120)
    worker = psutil.Process(int(store.run(run_id).pid or 0))
    server = worker.ppid()
    worker.kill()

    def last_worker() -> int | None:
        """The worker of the third trial."""
        trials = store.trials(sweep_id)[2:]
        return store.run(str(trials[0].run_id)).pid if trials and trials[0].run_id else None

    until(lambda: store.run(run_id).about.get("retries") == 1, 60)
    until(lambda: last_worker() is not None, 240)
    assert psutil.Process(int(str(last_worker()))).ppid() == server, "no new interpreter"
    until(lambda: store.sweep(sweep_id).state == "finished", 240)
    trials = store.trials(sweep_id)
    assert [trial.state for trial in trials] == ["complete", "failed", "complete"]
    assert (trials[1].run_id, trials[1].reason) == (None, trials[1].reason)
    assert "units" in trials[1].reason.lower()
    for trial in (trials[0], trials[2]):
        check_curves(store.points(str(trial.run_id)), epochs=40)
        lowest = min(
            value
            for _, split, name, value in metric_points(store, str(trial.run_id))
            if (split, name) == ("validation", "loss")
        )
        assert trial.value == lowest
    best = sweeps.best(store.sweep(sweep_id), trials)
    assert best is not None
    assert best.value == min(trial.value for trial in trials if trial.value is not None)
    assert {run.tags for run in store.runs()} == {("sweep",)}


def test_run_can_be_extended_branched_and_reproduced(home: Path, store: Store) -> None:
    project = moons(epochs=4, early_stopping=100)
    with trained_here():
        run_id = start(store, store.create_project(project), project)
    assert store.run(run_id).state == "finished"
    folder = store.artifacts(run_id).local_directory()
    text = (folder / "model.py").read_text()
    assert metric_points(store, run_id) == uninterrupted(project, home, text)
    assert [item.epoch for item in epoch_snapshots(RunArtifacts.in_directory(folder))] == [1, 2, 3, 4]
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["data"] == prepare(project.data, home).fingerprint
    assert environment["threads"] >= 1
    assert store.run(run_id).summary["cpu_s"] > 0

    with trained_here():
        reproduced = reproduction.repeat(store, run_id)
    assert store.run(reproduced).state == "finished"
    comparison = reproduction.compare_runs(store, store.run(run_id), store.run(reproduced))
    assert comparison.same, comparison.sentence()
    assert comparison.points == len(metric_points(store, run_id))
    assert comparison.sentence().startswith(f"All {comparison.points} points of the curves are the same, bit for bit")
    changed = json.dumps({**environment, "torch": "1.0", "data": "other"})
    (store.artifacts(reproduced).local_directory() / "environment.json").write_text(changed)
    with store.db.writing() as connection:
        connection.exec_driver_sql(f"UPDATE points SET value = value + 0.5 WHERE run_id = '{reproduced}' AND epoch = 2")
    comparison = reproduction.compare_runs(store, store.run(run_id), store.run(reproduced))
    assert (comparison.same, comparison.causes) == (
        False,
        (f"torch ({environment['torch']} then, 1.0 now)", "the data (its fingerprint)"),
    )
    assert comparison.first is not None
    assert comparison.first["now"] == comparison.first["then"] + 0.5

    with trained_here():
        continuation.extend(store, run_id, 3)
    run = store.run(run_id)
    assert (run.state, run.epoch, run.about["extended"]) == ("finished", 7, [{"at": 4, "epochs": 7}])
    longer = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 7})})
    assert metric_points(store, run_id) == uninterrupted(longer, home, text), "as if it had never ended"

    with trained_here():
        branch = continuation.branch(store, run_id, 2, training={"epochs": 0})
    assert store.run(branch).state == "finished"
    branched_from = {
        row[1:3]: row[3]
        for row in metric_points(store, run_id)
        if row[0] == epoch_snapshots(RunArtifacts.in_directory(folder))[1].step
    }
    branch_metrics = {row[1:3]: row[3] for row in metric_points(store, branch)}
    assert branch_metrics == pytest.approx(branched_from), "the weights are those after epoch 2"
    assert store.run(branch).about["branch"]["at"] == 2
    with pytest.raises(ValueError, match="There are no weights of epoch 99"):
        continuation.branch(store, run_id, 99)
    with pytest.raises(ValueError, match="one epoch or more"):
        continuation.extend(store, run_id, 0)
    store_in(home).close()
