"""What a worker tells of its run."""

from __future__ import annotations

import math
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from netloom.runs import evaluate, execution, start
from netloom.runs.resources.limits import RunLimits
from netloom.runs.run_reporter import RunReporter
from netloom.runs.trained_run import TrainedRun
from netloom.store import RunArtifacts, open_store
from netloom.training import Evaluation
from netloom.training.diagnostics.observer import Observer
from tests.runs.examples import Recorder, loop, moons, trained_here
from tests.store.states import put


def test_a_run_that_goes_on_is_as_far_as_it_was_and_keeps_its_best(home: Path, tmp_path: Path) -> None:
    project, store = moons(), open_store(home)
    run = store.create_run(store.create_project(project), project)
    broken = loop(project, home)
    broken.fit(Recorder(30))
    resumed = loop(project, home)
    resumed.resume(broken.checkpoint(), broken.best.weights)
    link = RunReporter(
        store,
        run,
        RunArtifacts.in_directory(tmp_path),
        Observer(project, RunArtifacts.in_directory(tmp_path)),
        RunLimits(0, 0, 0, 0),
    )
    link.start(resumed)
    link.close()  # before its first step
    told = store.run(run.id)
    assert (told.epoch, told.step) == (broken.epoch, 30)
    assert told.summary["best"] == {
        "loss": broken.best.value,
        "epoch": broken.best.epoch,
        "step": broken.best.step,
        "measure": "loss",
    }


def test_the_rate_is_told_as_the_schedule_has_it(home: Path, tmp_path: Path) -> None:
    project, store = moons(epochs=4, schedule="cosine", warmup=0.0, learning_rate=0.02), open_store(home)
    link = RunReporter(
        store,
        store.create_run(store.create_project(project), project),
        RunArtifacts.in_directory(tmp_path),
        Observer(project, RunArtifacts.in_directory(tmp_path)),
        RunLimits(0, 0, 0, 0),
    )
    going, told = loop(project, home), []
    link.start(going)
    while going.epoch < 4:
        going.training = going.training.model_copy(update={"epochs": going.epoch + 1})
        going.fit(Recorder())
        link.on_epoch_end(going)
        told.append(link.facts["rate"])
    link.close()
    assert told == pytest.approx([0.02 * (1 + math.cos(math.pi * done / 4)) / 2 for done in (1, 2, 3, 4)])


def test_the_time_of_a_pause_counts_for_no_speed(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("netloom.training.throughput.time", SimpleNamespace(monotonic=lambda: now[0]))
    project, store = moons(), open_store(home)
    trainer = loop(project, home)
    run = store.create_run(store.create_project(project), project)
    put(store, run.id, "running")
    link = RunReporter(
        store,
        run,
        RunArtifacts.in_directory(tmp_path),
        Observer(project, RunArtifacts.in_directory(tmp_path)),
        RunLimits(0, 0, 0, 0),
    )
    link.tell({"total_steps": 1_000})

    def beat(times: int, steps: int) -> None:
        for _ in range(times):
            now[0] += 1
            trainer.step += steps
            assert link.should_continue(trainer)
            link.beat()

    def sleep(_: float) -> None:
        """What the thread beside the loop does while this one waits."""
        for _ in range(3):
            now[0] += 1
            link.beat()
        store.command(run.id, "resume")
        link.take_commands()

    monkeypatch.setattr("netloom.runs.run_reporter.time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    beat(10, 50)
    store.command(run.id, "pause")
    link.take_commands()
    beat(2, 50)
    told = store.run(run.id).summary
    assert told["steps_per_s"] == 50
    assert set(told["speeds"]) == {50}


def test_a_run_that_is_stopped_says_so_while_it_is_measured(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(home)
    seen: list[str] = []

    def measure(trained: TrainedRun) -> Evaluation:
        seen.extend(run.state for run in store.active_runs())
        return evaluate(trained)

    monkeypatch.setattr(execution, "evaluate", measure)
    monkeypatch.setattr(RunReporter, "should_continue", lambda link, loop: loop.step < 5)
    project = moons()
    with trained_here():
        run_id = start(store, store.create_project(project), project)
    assert seen == ["stopping"]
    assert store.run(run_id).state == "stopped"
