"""Loops and runs for the tests of training."""

from __future__ import annotations

import io
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from netloom.compile import source
from netloom.data import prepare
from netloom.document import DataChoice, Project, Training
from netloom.runs import processes, refresh, start, supervisor, worker
from netloom.runs.execution import Through
from netloom.runs.resources.limits import RunLimits
from netloom.runs.run_reporter import RunReporter
from netloom.runs.search import sweep_trials
from netloom.store import Points, Run, RunArtifacts, Store, open_store
from netloom.training import checkpoints
from netloom.training.loop import SupervisedTrainer
from netloom.training.trainer import Callback, Trainer
from netloom.training.trainers.registry import build_trainer
from tests.networks import chain
from tests.store.states import put


class Recorder(Callback):
    """Keeps what the loop records, and can end it after a number of steps."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.points: list[tuple[int, int, str, str, float]] = []
        self.stop_at = stop_at

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        self.points += [(step, epoch, split, name, value) for name, value in values.items()]

    def should_continue(self, loop: Trainer) -> bool:
        return self.stop_at is None or loop.step < self.stop_at

    def curve(self, split: str, name: str) -> list[float]:
        return [value for _, _, kind, called, value in self.points if (kind, called) == (split, name)]


def moons(**training: Any) -> Project:
    """A small network with dropout on the moons."""
    return chain(
        ("Input", {"field": "features", "kind": "vector", "shape": [2]}),
        ("Linear", {"units": 16}),
        ("ReLU", {}),
        ("Dropout", {"rate": 0.2}),
        ("BatchNorm1d", {}),
        ("Linear", {"units": 2}),
        name="Moons",
        data=DataChoice(dataset="moons"),
        training=Training(**{"epochs": 4, "batch_size": 64, "learning_rate": 0.01, "device": "cpu", **training}),
    )


def loop(project: Project, home: Path) -> Trainer:
    """A loop at its beginning, as a worker makes it."""
    return build_trainer(project, source(project), prepare(project.data, home))


def supervised(project: Project, home: Path) -> SupervisedTrainer:
    """The same of a project that is learned from rows of data by one loss."""
    made = loop(project, home)
    assert isinstance(made, SupervisedTrainer)
    return made


def broken_off(project: Project, stop_at: int, home: Path, folder: Path) -> tuple[Trainer, Recorder, Recorder]:
    """A loop at its end that went on from the files in which another left itself after step `stop_at`, and what each
    of the two recorded."""
    broken, first = loop(project, home), Recorder(stop_at)
    assert not broken.fit(first)
    checkpoints.save(RunArtifacts.in_directory(folder), broken.step, broken.checkpoint())
    if broken.best.weights:
        checkpoints.save_best(RunArtifacts.in_directory(folder), broken.best.weights, {})
    torch.manual_seed(99)  # another process knows nothing of the first
    torch.rand(7)
    found = checkpoints.load(RunArtifacts.in_directory(folder))
    assert found is not None
    resumed, second = loop(project, home), Recorder()
    resumed.resume(found[1], checkpoints.weights(RunArtifacts.in_directory(folder)) if broken.best.weights else None)
    assert resumed.fit(second)
    return resumed, first, second


class _Here:
    """A worker that is this process: what it is told it trains before `assign` returns."""

    def __init__(self, home: Path) -> None:
        self.home, self.pid, self.stdin = home, os.getpid(), io.BytesIO()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        return self.returncode


@contextmanager
def trained_here(through: Through | None = None) -> Iterator[None]:
    """Whatever run is started meanwhile is trained to its end within this process, as its worker would train it, before
    the start returns, and so are the trials of sweeps: for tests of runs that are not about processes. `through` is as
    for a worker."""

    def assign(child: _Here, message: dict[str, Any]) -> None:
        child.returncode = -signal.SIGKILL  # unless it comes to an end of its own
        child.returncode = _train(child.home, message, through)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "acquire_worker", _Here)
        patch.setattr(processes, "assign", assign)
        patch.setattr(supervisor, "ensure_sweep_process", sweep_trials.advance_sweeps)
        yield


def _train(home: Path, message: dict[str, Any], through: Through | None) -> int:
    with pytest.MonkeyPatch.context() as patch, closing(open_store(home)) as store:
        patch.setattr(worker, "open_store", lambda home: store)
        # It ends those that a run leaves behind: here also the server that workers are forked from, and a test's own.
        patch.setattr(psutil.Process, "children", lambda process, recursive=False: [])
        # It ends the process where the run is given to another.
        patch.setattr(worker, "BEAT_S", 3600.0)
        return worker.main(str(home), message["run"], message["claim"], RunLimits(**message["limits"]), through)


class _KilledError(BaseException):
    """As a signal, it is caught by nobody."""


def killed(store: Store, project: Project, saved: Callable[[Trainer], bool], gone: Callable[[Trainer], bool]) -> str:
    """Start a run and train it within this process until it is `gone`, after a checkpoint as soon as there is something
    to be `saved`. Nothing in memory is left of it, and it is to be resumed."""

    def deadly(reporter: RunReporter) -> Callback:
        ask = reporter.should_continue
        done: list[int] = []

        def act(trainer: Trainer) -> bool:
            if not done and saved(trainer):
                reporter.checkpoint(trainer)
                done.append(trainer.step)
            if done and gone(trainer):
                raise _KilledError
            return ask(trainer)

        reporter.should_continue = act  # type: ignore[method-assign]
        return reporter

    with trained_here(deadly), pytest.raises(_KilledError):
        start(store, store.create_project(project), project)
    [run] = store.active_runs()
    put(store, run.id, "failed", reason="killed")
    for scatter in (torch.manual_seed, np.random.seed, random.seed):
        scatter(12345)  # what another process finds is not what this one left
    return run.id


def until(condition: Callable[[], Any], timeout_s: float) -> float:
    """Wait until something holds. Returns the seconds that it took."""
    start = time.monotonic()
    while not condition():
        elapsed = time.monotonic() - start
        assert elapsed < timeout_s, f"not within {timeout_s:g} s"
        time.sleep(0.02)
    return time.monotonic() - start


def until_state(store: Store, run_id: str, state: str, timeout_s: float) -> float:
    def there() -> bool:
        run: Run = refresh(store, run_id)
        assert run.state == state or run.state not in ("failed", "finished", "stopped"), (run.state, run.reason)
        return run.state == state

    return until(there, timeout_s)


def store_in(home: Path) -> Store:
    return open_store(home)


def check_curves(points: Points, epochs: int | None = None) -> None:
    """No double point, steps that never fall, and for validation one point for each epoch without a gap."""
    keys = list(zip(points.step, points.split, points.name, strict=True))
    assert len(keys) == len(set(keys)), [key for key in keys if keys.count(key) > 1][:5]
    seen = [
        epoch
        for epoch, split, name in zip(points.epoch, points.split, points.name, strict=True)
        if (split, name) == ("validation", "loss")
    ]
    assert seen == list(range(len(seen)))
    assert epochs is None or len(seen) == epochs
    losses = [step for step, name in zip(points.step, points.name, strict=True) if name == "batch_loss"]
    assert losses == sorted(losses)
