"""The reports of a worker about its run."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from netloom.document import Project
from netloom.runs import evaluate, start
from netloom.runs.execution import run_training, trial_pruner
from netloom.runs.execution.run_reporter import RunReporter
from netloom.runs.prediction.trained_run import TrainedRun
from netloom.runs.resources.limits import RunLimits
from netloom.runs.search import sweep_trials, sweeps
from netloom.store import Run, RunArtifacts, Store, open_store
from netloom.training import Evaluation
from netloom.training.diagnostics.observer import Observer
from tests.runs.examples import Recorder, loop, moons, trained_here
from tests.store.states import put


def reporter_of(store: Store, run: Run, project: Project, folder: Path) -> RunReporter:
    """The reporter of a run without limits, whose files are in `folder`."""
    artifacts = RunArtifacts.in_directory(folder)
    return RunReporter(store, run, artifacts, Observer(project, artifacts), RunLimits(0, 0, 0, 0))


def test_resumed_run_reports_its_progress_and_best(home: Path, tmp_path: Path) -> None:
    project, store = moons(), open_store(home)
    run = store.create_run(store.create_project(project), project)
    interrupted = loop(project, home)
    interrupted.fit(Recorder(30))
    resumed = loop(project, home)
    resumed.resume(interrupted.checkpoint(), interrupted.best.weights)
    reporter = reporter_of(store, run, project, tmp_path)
    reporter.start(resumed)
    reporter.close()  # before its first step
    stored = store.run(run.id)
    assert (stored.epoch, stored.step) == (interrupted.epoch, 30)
    assert stored.summary.as_json()["best"] == {
        "loss": interrupted.best.value,
        "epoch": interrupted.best.epoch,
        "step": interrupted.best.step,
        "measure": "loss",
    }


def test_store_has_the_points_of_each_epoch_that_it_counts(home: Path, tmp_path: Path) -> None:
    """Otherwise a worker that is killed between the two would leave an epoch without points."""
    project, store = moons(epochs=1), open_store(home)
    run = store.create_run(store.create_project(project), project)
    reporter = reporter_of(store, run, project, tmp_path)
    loop(project, home).fit(reporter)
    reporter.heartbeat.send()  # by the thread, between two writes of points
    assert store.run(run.id).epoch == 1
    points = store.points(run.id)
    assert (0, "validation", "loss") in zip(points.epoch, points.split, points.name, strict=True)


def test_reported_learning_rate_follows_the_schedule(home: Path, tmp_path: Path) -> None:
    project, store = moons(epochs=4, schedule="cosine", warmup=0.0, learning_rate=0.02), open_store(home)
    run = store.create_run(store.create_project(project), project)
    reporter = reporter_of(store, run, project, tmp_path)
    trainer, rates = loop(project, home), []
    reporter.start(trainer)
    while trainer.epoch < 4:
        trainer.training = trainer.training.model_copy(update={"epochs": trainer.epoch + 1})
        trainer.fit(Recorder())
        reporter.on_epoch_end(trainer)
        rates.append(reporter.summary.facts.rate)
    reporter.close()
    assert rates == pytest.approx([0.02 * (1 + math.cos(math.pi * done / 4)) / 2 for done in (1, 2, 3, 4)])


def test_paused_time_does_not_count_toward_throughput(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("netloom.training.speed.throughput.time", SimpleNamespace(monotonic=lambda: now[0]))
    project, store = moons(), open_store(home)
    trainer = loop(project, home)
    run = store.create_run(store.create_project(project), project)
    put(store, run.id, "running")
    reporter = reporter_of(store, run, project, tmp_path)
    reporter.throughput.total_steps = 1_000

    def beat(times: int, steps: int) -> None:
        for _ in range(times):
            now[0] += 1
            trainer.step += steps
            assert reporter.should_continue(trainer)
            reporter.heartbeat.send()

    def sleep(_: float) -> None:
        """What the heartbeat thread does while this thread waits."""
        for _ in range(3):
            now[0] += 1
            reporter.heartbeat.send()
        store.command(run.id, "resume")
        reporter.commands.take()

    monkeypatch.setattr("netloom.runs.execution.command_handler.time", SimpleNamespace(sleep=sleep))
    beat(10, 50)
    store.command(run.id, "pause")
    reporter.commands.take()
    beat(2, 50)
    summary = store.run(run.id).summary
    assert summary.steps_per_s == 50
    assert set(summary.speeds) == {50}


def test_unpromising_trial_stops_after_its_epoch_as_pruned(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[tuple[float, int]] = []
    unpromising = SimpleNamespace(
        report=lambda value, epoch: reported.append((value, epoch)), should_prune=lambda: len(reported) == 2
    )
    monkeypatch.setattr(trial_pruner, "replay_trial", lambda *_: unpromising)
    project, store = moons(epochs=5), open_store(home)
    plan = sweeps.plan(project, {"training.seed": {"choices": [1]}}, trials=1, sampler="grid", pruner="median")
    with trained_here():
        sweep_id = sweeps.start(store, store.create_project(project), project, plan)
    [trial] = sweep_trials.record_ended_trials(store, sweep_id)
    run = store.run(str(trial.run_id))
    assert (run.state, run.end_cause, run.epoch, trial.state) == ("stopped", "pruned", 2, "pruned")
    assert run.reason == f"Pruned: after epoch 2 its loss of {reported[1][0]:.4g} was not promising."
    assert trial.reason == run.reason


def test_stopped_run_is_stopping_during_evaluation(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(home)
    states: list[str] = []

    def measure(trained: TrainedRun) -> Evaluation:
        states.extend(run.state for run in store.active_runs())
        return evaluate(trained)

    monkeypatch.setattr(run_training, "evaluate", measure)
    monkeypatch.setattr(RunReporter, "should_continue", lambda link, loop: loop.step < 5)
    project = moons()
    with trained_here():
        run_id = start(store, store.create_project(project), project)
    assert states == ["stopping"]
    assert store.run(run_id).state == "stopped"
