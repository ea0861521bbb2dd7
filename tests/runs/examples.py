"""Projects, trainers and runs for the tests of training."""

from __future__ import annotations

import io
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread, main_thread
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from netloom.compile import source
from netloom.core.processes import is_running
from netloom.data import prepare
from netloom.document import DataChoice, Project, Training
from netloom.runs import claimed_run, control, processes, refresh, start
from netloom.runs.execution.run_reporter import RunReporter
from netloom.runs.execution.run_training import Through
from netloom.runs.resources.limits import RunLimits
from netloom.runs.search import sweep_process, sweep_trials
from netloom.store import Points, Run, RunArtifacts, Store, open_store
from netloom.training.loop import SupervisedTrainer
from netloom.training.trainer import Callback, Trainer
from netloom.training.trainers.registry import build_trainer
from netloom.training.weights import checkpoints
from tests.networks import chain
from tests.store.states import put


class Recorder(Callback):
    """Collects the logged points, and can stop the trainer after a number of steps."""

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
    """A small network with dropout on the moons dataset."""
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
    """An untrained trainer, built as a worker builds it."""
    return build_trainer(project, source(project), prepare(project.data, home))


def supervised(project: Project, home: Path) -> SupervisedTrainer:
    """The trainer of a project with a supervised objective."""
    trainer = loop(project, home)
    assert isinstance(trainer, SupervisedTrainer)
    return trainer


def broken_off(project: Project, stop_at: int, home: Path, folder: Path) -> tuple[Trainer, Recorder, Recorder]:
    """Stop a trainer after step `stop_at`, save it, resume from its files in a second trainer, and return that one when
    it has finished, with the recorders of both."""
    interrupted, first = loop(project, home), Recorder(stop_at)
    assert not interrupted.fit(first)
    checkpoints.save(RunArtifacts.in_directory(folder), interrupted.step, interrupted.checkpoint())
    if interrupted.best.weights:
        checkpoints.save_best(RunArtifacts.in_directory(folder), interrupted.best.weights, {})
    torch.manual_seed(99)  # another process has other random states
    torch.rand(7)
    loaded = checkpoints.load(RunArtifacts.in_directory(folder))
    assert loaded is not None
    resumed, second = loop(project, home), Recorder()
    resumed.resume(
        loaded[1], checkpoints.weights(RunArtifacts.in_directory(folder)) if interrupted.best.weights else None
    )
    assert resumed.fit(second)
    return resumed, first, second


class _Here:
    """A worker that is this process: `assign` returns after it has trained."""

    def __init__(self, home: Path) -> None:
        self.home, self.pid, self.stdin = home, os.getpid(), io.BytesIO()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        return self.returncode


@contextmanager
def trained_here(through: Through | None = None) -> Iterator[None]:
    """Train each run that starts meanwhile in this process, as its worker would, before `start` returns, and the trials
    of sweeps too: for tests of runs that are not about processes. `through` is passed on to the worker."""

    def assign(child: _Here, message: dict[str, Any]) -> None:
        try:
            child.returncode = _train(child.home, message, through)
        except BaseException:  # only now, because the page looks after the run meanwhile
            child.returncode = -signal.SIGKILL
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "acquire_worker", _Here)
        patch.setattr(processes, "assign", assign)
        # A thread of the app that looks after runs meanwhile must not conclude that the worker is gone.
        patch.setattr(control, "is_running", lambda pid, module: pid == os.getpid() or is_running(pid, module))
        patch.setattr(sweep_process, "ensure_sweep_process", sweep_trials.advance_sweeps)
        yield


def _train(home: Path, message: dict[str, Any], through: Through | None) -> int:
    with pytest.MonkeyPatch.context() as patch, closing(open_store(home)) as store:
        patch.setattr(claimed_run, "open_store", lambda home: store)
        # The worker ends leftover child processes: here, also the fork server and those of the test.
        patch.setattr(psutil.Process, "children", lambda process, recursive=False: [])
        # The heartbeat ends the process when another worker claims the run.
        patch.setattr(claimed_run, "BEAT_S", 3600.0)
        return claimed_run.train_claimed_run(
            str(home), message["run"], message["claim"], RunLimits(**message["limits"]), through
        )


class _KilledError(BaseException):
    """Not caught anywhere, like SIGKILL."""


def killed(store: Store, project: Project, saved: Callable[[Trainer], bool], gone: Callable[[Trainer], bool]) -> str:
    """Start a run and train it in this process until `gone` holds, with a checkpoint as soon as `saved` holds. Nothing
    of it stays in memory, and it can be resumed."""

    def kill_when_gone(reporter: RunReporter) -> Callback:
        original = reporter.should_continue
        checkpoint_steps: list[int] = []

        def act(trainer: Trainer) -> bool:
            if not checkpoint_steps and saved(trainer):
                reporter.checkpoint.save(trainer)
                checkpoint_steps.append(trainer.step)
            if checkpoint_steps and gone(trainer):
                raise _KilledError
            return original(trainer)

        reporter.should_continue = act  # type: ignore[method-assign]
        return reporter

    with trained_here(kill_when_gone), pytest.raises(_KilledError):
        start(store, store.create_project(project), project)
    [run] = store.active_runs()
    put(store, run.id, "failed", reason="killed")
    for set_seed in (torch.manual_seed, np.random.seed, random.seed):
        set_seed(12345)  # another process has other random states
    return run.id


def until(condition: Callable[[], Any], timeout_s: float) -> float:
    """Wait until a condition holds. Returns the elapsed seconds."""
    start = time.monotonic()
    while not condition():
        elapsed = time.monotonic() - start
        assert elapsed < timeout_s, f"not within {timeout_s:g} s"
        time.sleep(min(0.05, 0.01 + elapsed / 50))  # most conditions read the database, which others are waiting for
    return time.monotonic() - start


@contextmanager
def interrupted_when(home: Path, ready: Callable[[Run], bool]) -> Iterator[None]:
    """Press Ctrl-C in this process as soon as a run of the data folder is ready."""
    ended = Event()

    def watch() -> None:
        with closing(open_store(home)) as store:
            while not ended.wait(0.1):
                if any(map(ready, store.runs())):
                    signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
                    return

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where pytest runs in the background
    thread = Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGINT, before)


def until_state(store: Store, run_id: str, state: str, timeout_s: float) -> float:
    def reached() -> bool:
        run: Run = refresh(store, run_id)
        assert run.state == state or run.state not in ("failed", "finished", "stopped"), (run.state, run.reason)
        return run.state == state

    return until(reached, timeout_s)


def store_in(home: Path) -> Store:
    return open_store(home)


def check_curves(points: Points, epochs: int | None = None) -> None:
    """Check that no point is duplicated, that steps never decrease, and that validation has one point per epoch."""
    keys = list(zip(points.step, points.split, points.name, strict=True))
    assert len(keys) == len(set(keys)), [key for key in keys if keys.count(key) > 1][:5]
    epochs_seen = [
        epoch
        for epoch, split, name in zip(points.epoch, points.split, points.name, strict=True)
        if (split, name) == ("validation", "loss")
    ]
    assert epochs_seen == list(range(len(epochs_seen)))
    assert epochs is None or len(epochs_seen) == epochs
    loss_steps = [step for step, name in zip(points.step, points.name, strict=True) if name == "batch_loss"]
    assert loss_steps == sorted(loss_steps)


def wait_for_workers(timeout_s: float) -> None:
    """Wait until the workers that this process started have ended."""
    for child in control.started_workers().values():
        with suppress(ChildProcessError):  # an earlier test killed the fork server, which knew how its workers ended
            child.wait(timeout_s)
