"""Runs that are started, paused, stopped, killed and resumed, by real workers, from this process and from others."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from netloom.compile import CompileError, source
from netloom.data import DataError
from netloom.document import DataChoice, Project, read
from netloom.runs import (
    ACTIVE,
    control,
    evaluate,
    evaluation,
    load_run,
    pause,
    predict,
    refresh,
    resume,
    resume_paused,
    set_learning_rate,
    start,
    stop,
    tend,
    wait,
    warm,
)
from netloom.runs.control import started_workers
from netloom.store import Store, open_store
from netloom.training.weights import checkpoints
from tests.networks import IMAGE, chain, digits_mlp
from tests.preloaded import start_python
from tests.runs.examples import check_curves, killed, moons, trained_here, until, until_state, wait_for_workers

LONG = 10_000


def patience(seconds: float) -> float:
    """A time limit for a machine with one core per process, which grows with the load."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """A store whose workers are killed after the test."""
    opened = open_store(home)
    yield opened
    for run in opened.runs():
        if run.state in ACTIVE and run.pid and psutil.pid_exists(run.pid):
            os.kill(run.pid, signal.SIGKILL)
            until(lambda run=run: refresh(opened, run.id).state not in ACTIVE, 10)  # type: ignore[misc]
    wait_for_workers(20)
    opened.close()


def start_run(store: Store, project: Project) -> str:
    return start(store, store.create_project(project), project)


def until_epoch(store: Store, run_id: str, epoch: int, timeout_s: float = 90) -> None:
    last = 0

    def reached() -> bool:
        nonlocal last
        run = refresh(store, run_id)
        assert run.state in ACTIVE, (run.state, run.reason)
        points = store.points(run_id, after=last)
        last = points.last
        return max(points.epoch, default=0) >= epoch

    until(reached, timeout_s)


def test_run_trains_from_start_to_finish(store: Store) -> None:
    project = digits_mlp(epochs=5, learning_rate=3e-3, device="cpu")
    run_id = start_run(store, project)
    assert refresh(store, run_id).state in ACTIVE
    run = wait(store, run_id, 180)
    assert (run.state, run.reason) == ("finished", "")
    assert run.step == run.total_steps > 0
    assert run.epoch == 5
    assert run.started_at is not None
    assert run.ended_at is not None
    assert run.summary.best is not None
    assert run.summary.best.epoch <= 4
    points = store.points(run_id)
    check_curves(points, epochs=5)
    assert {"batch_loss", "loss", "accuracy"} <= set(points.name)
    assert store.points(run_id, after=points.last).step == []

    folder = store.artifacts(run_id).local_directory()
    assert read(folder / "project.json") == project
    assert (folder / "model.py").read_text() == source(project)
    assert {"netloom", "torch"} <= json.loads((folder / "environment.json").read_text()).keys()
    for line in (folder / "log.jsonl").read_text().splitlines():
        assert "event" in json.loads(line)
    assert (folder / "worker.log").read_text() == ""

    trained = load_run(store, run_id)
    recomputed = evaluate(trained)
    stored = evaluation(store, run_id)
    assert stored is not None
    assert stored.metrics == pytest.approx(recomputed.metrics, rel=1e-5)
    assert (stored.rows, stored.classes, stored.confusion) == (
        recomputed.rows,
        recomputed.classes,
        recomputed.confusion,
    )
    assert [item.row for item in stored.worst] == [item.row for item in recomputed.worst]
    assert evaluate(load_run(store, run_id, "last")).rows == stored.rows

    rows = trained.data.split["test"][:5].tolist()
    predictions = predict(trained, [trained.data.row(row) for row in rows])
    output = trained.output({"image": trained.data.inputs["image"][rows]})
    expected = [trained.data.schema.target.classes[int(number)] for number in output.argmax(1)]
    assert [predicted["prediction"] for predicted in predictions] == expected
    with pytest.raises(ValueError, match="finished"):
        resume(store, run_id)


def test_run_survives_pause_kill_resume_and_stop(store: Store) -> None:
    warm(store)
    run_id = start_run(store, moons(epochs=LONG))
    until_state(store, run_id, "running", 90)
    until_epoch(store, run_id, 3)

    pause(store, run_id)
    assert until_state(store, run_id, "paused", 60) <= patience(3)
    point_count = len(store.points(run_id).step)
    time.sleep(0.6)
    assert len(store.points(run_id).step) == point_count
    assert refresh(store, run_id).state == "paused"

    set_learning_rate(store, run_id, 1e-9)
    resume_paused(store, run_id)
    assert until_state(store, run_id, "running", 60) <= patience(3)
    until(lambda: refresh(store, run_id).summary.learning_rate == 1e-9, 30)
    saved = checkpoints.load(store.artifacts(run_id))
    assert saved is not None
    until_epoch(store, run_id, max(store.points(run_id).epoch) + 3)
    pid = refresh(store, run_id).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: refresh(store, run_id).state == "failed", 60) <= patience(5)
    run = refresh(store, run_id)
    assert "killed" in run.reason
    assert "\n" not in run.reason
    assert run.ended_at is not None
    latest = checkpoints.load(store.artifacts(run_id))
    assert latest is not None
    assert max(store.points(run_id).step) > saved[0]
    assert latest[0] >= saved[0]

    report = store.artifacts(run_id).local_directory() / "evaluation.json"
    report.write_text("{}")  # of older weights
    resume(store, run_id)
    until(lambda: not report.exists(), 60)
    assert restored_steps(store, run_id) == [latest[0]]
    until_epoch(store, run_id, max(store.points(run_id).epoch) + 3)

    stop(store, run_id)
    assert until(lambda: refresh(store, run_id).state == "stopped", 60) <= patience(3)
    last = checkpoints.load(store.artifacts(run_id))
    assert last is not None
    assert last[0] == last[1].state["step"] == refresh(store, run_id).step > latest[0]
    assert last[1].state["learning_rate"] == 1e-9
    assert last[1].state["optimizer"]["param_groups"][0]["lr"] == 1e-9
    assert all(
        bool(torch.isfinite(value).all()) for value in load_run(store, run_id, "last").model.state_dict().values()
    )
    check_curves(store.points(run_id))
    [change] = refresh(store, run_id).summary.changes  # the resume keeps the change
    assert (change.setting, change.old, change.new) == ("learning_rate", 0.01, 1e-9)
    for value in (0, -1, 11, float("nan")):
        with pytest.raises(ValueError, match="above 0 and at most 10"):
            set_learning_rate(store, run_id, value)


def restored_steps(store: Store, run_id: str) -> list[int]:
    """The steps at which a run was restored."""
    log = [
        json.loads(line) for line in (store.artifacts(run_id).local_directory() / "log.jsonl").read_text().splitlines()
    ]
    return [line["step"] for line in log if line["event"] == "restore"]


@pytest.mark.parametrize("batch_size", [64, 65_536])
def test_resumed_run_has_no_missing_or_duplicate_points(store: Store, batch_size: int) -> None:
    """With one step per epoch, every checkpoint is at the end of an epoch."""
    project = moons(epochs=20, batch_size=batch_size)
    run_id = killed(store, project, lambda loop: loop.epoch >= 5, lambda loop: loop.epoch >= 9)
    saved = checkpoints.load(store.artifacts(run_id))
    assert saved is not None
    assert max(store.points(run_id).step) > saved[0]
    with trained_here():
        resume(store, run_id)
    run = store.run(run_id)
    assert (run.state, run.reason) == ("finished", "")
    check_curves(store.points(run_id), epochs=20)
    assert restored_steps(store, run_id) == [saved[0]]


def test_run_outlives_its_starter_and_starts_the_next(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(control, "advance", lambda store: None)
        first, second = start_run(store, moons(epochs=LONG)), start_run(store, moons(epochs=LONG))
    code = "from netloom.store import open_store\nfrom netloom.runs import advance\nadvance(open_store())"
    assert start_python("-c", code, environment={**os.environ, "NETLOOM_HOME": str(home)}).wait(120) == 0
    until_epoch(store, first, 3)
    assert refresh(store, first).state == "running"
    assert store.run(second).state == "waiting"
    stop(store, first)
    until(lambda: store.run(second).state == "running", 60)  # only the previous worker starts the next run
    assert store.run(first).state == "stopped"
    os.kill(int(str(store.run(second).pid)), signal.SIGKILL)
    assert until(lambda: refresh(store, second).state == "failed", 60) <= patience(5)
    assert refresh(store, second).reason.startswith("The worker process ended without an error message")


def test_nan_loss_is_the_failure_reason(store: Store) -> None:
    project = moons(epochs=LONG, optimizer="sgd", learning_rate=10.0, weight_decay=1.0, batch_size=2)
    nodes = {key: node for key, node in project.main_network.nodes.items() if key != "batchnorm1d_1"}
    network = project.main_network
    edges = [edge for edge in network.edges if "batchnorm1d_1" not in (edge.source, edge.target)]
    edges.append(network.edges[0].model_copy(update={"source": "dropout_1", "target": "linear_2"}))
    project = project.with_network("main", network.model_copy(update={"nodes": nodes, "edges": tuple(edges)}))
    with trained_here():
        run = store.run(start_run(store, project))
    assert run.state == "failed"
    assert run.reason.startswith("The loss became ")
    assert "(epoch 1). First seen in batch " in run.reason
    assert "Lower the learning rate" in run.reason


def test_invalid_project_starts_no_worker(store: Store) -> None:
    project = chain(IMAGE, ("Flatten", {}), ("Linear", {"units": 3}), data=DataChoice(dataset="digits"))
    with pytest.raises(CompileError) as caught:
        start_run(store, project)
    assert [issue.code for issue in caught.value.issues] == ["width"]
    missing = project.model_copy(update={"data": DataChoice(dataset="nothing of the kind")})
    with pytest.raises(DataError):
        start_run(store, missing)
    assert store.runs() == []


def test_worker_exits_when_its_project_is_deleted(store: Store) -> None:
    project_id = store.create_project(digits_mlp(epochs=LONG))
    run_id = start(store, project_id, digits_mlp(epochs=LONG))
    until_epoch(store, run_id, 1)
    child = started_workers()[run_id]  # the thread that starts waiting runs may drop it first
    store.delete_project(project_id)
    until(lambda: child.poll() == 0, 20)
    assert not store.artifacts(run_id).local_directory().exists()
    tend(store)
    assert run_id not in started_workers(), "no process is left over of a run that nobody can look at any more"
