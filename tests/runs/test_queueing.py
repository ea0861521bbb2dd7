"""The queue, a sweep with an invalid trial, and runs that are extended, branched and reproduced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from netloom.data import prepare
from netloom.document import Project
from netloom.runs import control, start, stop
from netloom.runs.derived import continuation, reproduction
from netloom.runs.history.snapshots import epoch_snapshots
from netloom.runs.resources.capacity import queue_position
from netloom.runs.search import sweep_trials, sweeps
from netloom.store import Limits, QueueFullError, RunArtifacts, Store, open_store
from netloom.store.run_summary import Branch, Extension
from netloom.tasks.training_losses import TRAINING_LOSSES
from netloom.training.trainers.registry import build_trainer
from tests.runs.examples import Recorder, check_curves, moons, store_in, trained_here
from tests.store.states import put


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(home)
    yield opened
    opened.close()


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


def test_queue_has_places_and_a_limit(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "advance", lambda store: None)  # no worker starts
    project = moons()
    project_id = store.create_project(project)
    run_ids = [start(store, project_id, project) for _ in range(4)]
    claimed = store.claim_next(Limits())
    assert claimed is not None
    assert claimed.id == run_ids[0]
    assert [store.run(run_id).state for run_id in run_ids] == ["queued", "waiting", "waiting", "waiting"]
    assert queue_position(store, store.run(run_ids[1])) == "next in line"
    assert queue_position(store, store.run(run_ids[3])) == "3rd in line"
    with pytest.raises(QueueFullError, match="at most 1 can train and 3 wait"):
        start(store, project_id, project)
    assert len(list((home / "runs").iterdir())) == 4, "the rejected run leaves no folder"
    for run_id in run_ids[2:]:
        stop(store, run_id)
    assert [store.run(run_id).state for run_id in run_ids[2:]] == ["stopped", "stopped"]
    put(store, run_ids[0], "failed")
    stop(store, run_ids[0])  # no worker is left to obey, and the command does no harm
    assert store.run(run_ids[0]).state == "failed"


def test_sweep_continues_after_an_invalid_trial(store: Store) -> None:
    project = moons(epochs=3)
    space = {"main.linear_1.units": {"choices": [8, -1, 16]}}
    plan = sweeps.plan(project, space, trials=9, sampler="grid")
    with trained_here():
        sweep_id = sweeps.start(store, store.create_project(project), project, plan)
        for _ in space["main.linear_1.units"]["choices"]:  # as the sweep process does repeatedly
            sweep_trials.advance_sweeps(store)
    trials = store.trials(sweep_id)
    assert store.sweep(sweep_id).state == "finished"
    assert [trial.state for trial in trials] == ["complete", "failed", "complete"]
    assert trials[1].run_id is None
    assert "units" in trials[1].reason.lower()
    for trial in (trials[0], trials[2]):
        check_curves(store.points(str(trial.run_id)), epochs=3)
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
    assert store.run(run_id).summary.cpu_s > 0

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
    assert (run.state, run.epoch, run.about.extended) == ("finished", 7, (Extension(at=4, epochs=7),))
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
    branched = store.run(branch).about.start
    assert isinstance(branched, Branch)
    assert branched.at == 2
    with pytest.raises(ValueError, match="There are no weights of epoch 99"):
        continuation.branch(store, run_id, 99)
    with pytest.raises(ValueError, match="must be at least 1"):
        continuation.extend(store, run_id, 0)
    store_in(home).close()
