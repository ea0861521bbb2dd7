"""The cost of a run besides its steps: curves and heartbeat, layer statistics, checkpoints, start and resume."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil

from netloom.cli.bench.ratio import Ratio
from netloom.cli.bench.tasks import Task, small_mlp
from netloom.training.diagnostics.observer import Observer
from netloom.training.loop import SupervisedTrainer
from netloom.training.trainer import Callback, Trainer

if TYPE_CHECKING:
    import numpy as np
    import torch

    from netloom.store import Store
    from netloom.training.targets import Targets

# Long enough for periodic work, a few times per second, to have the same share as in a run of hours.
MIN_LOOP_S = 6.0
PATIENCE_S = 300.0
# A poll between two steps takes microseconds; if it writes a checkpoint, it takes milliseconds.
CHECKPOINT_MIN_S = 5e-4
# codecarbon, if it is installed, first detects the hardware.
SETTLE_S = 3.0


@dataclass(frozen=True)
class Cost:
    """The CPU time of a run besides its steps, as shares of the steps.

    Attributes:
        recorded: points, heartbeat and commands.
        observed: the statistics of layers.
        saved: checkpoints and the best weights.
    """

    title: str
    recorded: Ratio
    observed: Ratio
    saved: Ratio


@dataclass(frozen=True)
class Start:
    """The time from a start to the first point of a curve, and from a resume to the first point after its checkpoint.

    Both are relative to a process that imports torch: in CPU time of the worker, and in wall-clock time. The first
    start of a program pays for an import; later workers are forked from a process that has imported everything.
    """

    first_point: Ratio
    resumed: Ratio
    first_point_clock: Ratio
    resumed_clock: Ratio


def measure_cost(task: Task, repeats: int) -> Cost:
    """Train a task as a worker does, and measure the time outside of the steps.

    Both are measured within one run and in CPU time, so that other load on the machine does not count.
    """
    _shares(task, task.epochs)  # warm-up of torch
    *_, steps_s = _shares(task, task.epochs)
    epochs = max(1, round(MIN_LOOP_S / steps_s * task.epochs))
    recorded, observed, saved, _ = zip(*(_shares(task, epochs) for _ in range(repeats)), strict=True)
    return Cost(task.title, _summarize(recorded), _summarize(observed), _summarize(saved))


def _summarize(values: Sequence[float]) -> Ratio:
    return Ratio(median(values), min(values), max(values))


def _shares(task: Task, epochs: int) -> tuple[float, float, float, float]:
    """Return the shares of recording, observing and saving, and the seconds of the steps."""
    import torch

    from netloom.compile import module
    from netloom.data import prepare
    from netloom.runs.execution.run_reporter import RunReporter
    from netloom.runs.resources.limits import declared
    from netloom.store import open_store
    from netloom.training import OBJECTIVES

    data = prepare(task.project.data)
    training = task.project.training.model_copy(update={"epochs": epochs})
    project = task.project.model_copy(update={"training": training})
    torch.manual_seed(0)
    trainer = SupervisedTrainer(
        module(project), OBJECTIVES[training.objective], data, [data.schema.inputs[0].name], training, "cpu"
    )
    with TemporaryDirectory(prefix="netloom-bench-") as home:
        store = open_store(Path(home))
        run = store.create_run(store.create_project(project), project)
        artifacts = store.artifacts(run.id)
        artifacts.create()
        observer = _TimedObserver(project, artifacts)
        reporter = RunReporter(store, run, artifacts, observer, declared())
        reporter.start(trainer)
        callbacks = _TimedCallbacks(reporter, observer)
        time.sleep(SETTLE_S)
        try:
            clock_start = time.monotonic()
            # CPU time of the process beyond this thread: that of other threads, such as the reporter's
            threads_s = time.process_time() - time.thread_time()
            start = time.thread_time()
            trainer.fit(callbacks)
            loop_s = time.thread_time() - start
            threads_s = time.process_time() - time.thread_time() - threads_s
            clock_s = time.monotonic() - clock_start
        finally:
            reporter.close()
    callbacks.subtract_overhead(*_timing_overhead(trainer, observer))
    # The reporter and the observer were timed together. What the observer measured itself is moved from the recorded
    # and saved time to the observed: `after_s` at ends of epochs, the rest of `spent_s` while logging.
    observed_s = observer.spent_s + callbacks.observing_s()
    recorded_s = callbacks.spent_s - callbacks.saved_s
    saved_s = callbacks.saved_s - observer.after_s
    recorded_s -= observer.spent_s - observer.after_s
    steps_s = loop_s - callbacks.spent_s - callbacks.observing_s()
    # The reporter's thread works by the clock, so its share is relative to wall-clock time.
    return recorded_s / steps_s + threads_s / clock_s, observed_s / steps_s, saved_s / steps_s, steps_s


def _timing_overhead(trainer: Trainer, observer: _TimedObserver) -> tuple[float, float]:
    """Return the seconds that the measurement itself takes per call, measured with an empty callback."""
    idle = _TimedCallbacks(Callback(), observer, is_empty=True)
    loss = _zero()
    for _ in range(5_000):
        idle.on_step_start(trainer, [], None)
        idle.on_step_end(trainer, loss)
        idle.should_continue(trainer)
    return idle.overhead_per_call()


def _zero() -> torch.Tensor:
    import torch

    return torch.zeros(())


class _TimedObserver(Observer):
    """Measures its own time outside of the steps, and records which steps it observed."""

    looked = False
    spent_s = after_s = 0.0

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        start = time.thread_time()
        super().log_metrics(step, epoch, split, values)
        self.spent_s += time.thread_time() - start

    def on_epoch_end(self, trainer: Trainer) -> None:
        start = time.thread_time()
        super().on_epoch_end(trainer)
        self.after_s += time.thread_time() - start
        self.spent_s += time.thread_time() - start

    def _keep(self, trainer: Trainer, values: np.ndarray) -> None:
        self.looked = True
        super()._keep(trainer, values)


class _TimedCallbacks(Callback):
    """Forwards events to a reporter and an observer, and measures them: `spent_s` outside of the hooks around steps."""

    def __init__(self, reporter: Callback, observer: _TimedObserver, *, is_empty: bool = False) -> None:
        self._reporter, self._observer, self._is_empty = reporter, observer, is_empty
        self._step_began = 0.0
        self.spent_s = self.saved_s = self._hook_s = 0.0
        self._other_steps: list[float] = []
        self._observed_steps: list[float] = []
        self._calls = 0

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        def log() -> None:
            self._reporter.log_metrics(step, epoch, split, values)
            self._observer.log_metrics(step, epoch, split, values)

        self._timed(log)

    def should_continue(self, trainer: Trainer) -> bool:
        spent_before_s = self.spent_s
        continues = bool(self._timed(lambda: self._reporter.should_continue(trainer)))
        if self.spent_s - spent_before_s > CHECKPOINT_MIN_S:  # a checkpoint was due
            self.saved_s += self.spent_s - spent_before_s
        return continues

    def on_epoch_end(self, trainer: Trainer) -> None:
        def end() -> None:
            self._reporter.on_epoch_end(trainer)
            self._observer.on_epoch_end(trainer)

        spent_before_s = self.spent_s
        self._timed(end)
        self.saved_s += self.spent_s - spent_before_s

    def on_step_start(self, trainer: Trainer, inputs: list[torch.Tensor], targets: Targets | None) -> None:
        self._observer.looked = False
        start = time.thread_time()
        if not self._is_empty:
            self._observer.on_step_start(trainer, inputs, targets)
        self._step_began = time.thread_time()
        self._hook_s += self._step_began - start

    def on_step_end(self, trainer: Trainer, loss: torch.Tensor) -> None:
        end = time.thread_time()
        if not self._is_empty:
            self._observer.on_step_end(trainer, loss)
        self._hook_s += time.thread_time() - end
        (self._observed_steps if self._observer.looked else self._other_steps).append(end - self._step_began)

    def observing_s(self) -> float:
        """Return the time of the hooks around the steps, plus the additional time of observed steps."""
        return self._hook_s + sum(self._observed_steps) - len(self._observed_steps) * fmean(self._other_steps)

    def subtract_overhead(self, spent_s: float, around_s: float) -> None:
        """Subtract the overhead of the measurement, which on some machines exceeds the measured time."""
        self.spent_s -= self._calls * spent_s
        self._hook_s -= (len(self._other_steps) + len(self._observed_steps)) * around_s

    def overhead_per_call(self) -> tuple[float, float]:
        """Return the mean seconds of a call outside of the steps, and of the hooks around a step."""
        return self.spent_s / self._calls, self._hook_s / len(self._other_steps)

    def _timed(self, call: Callable[[], Any]) -> Any:
        self._calls += 1
        start = time.thread_time()
        try:
            return call()
        finally:
            self.spent_s += time.thread_time() - start


def measure_start(repeats: int) -> Start:
    """Start and resume runs of the small network, and compare each with a process that imports torch and ends."""
    from netloom.store import open_store

    ratios: list[list[float]] = [[], [], [], []]
    for _ in range(repeats):
        with TemporaryDirectory(prefix="netloom-bench-") as home:
            torch_cpu_s, torch_s = import_torch()
            (start_cpu, start_clock), (resume_cpu, resume_clock) = _time_start_and_resume(open_store(Path(home)))
            cpu, clock = (
                (start_cpu / torch_cpu_s, resume_cpu / torch_cpu_s),
                (start_clock / torch_s, resume_clock / torch_s),
            )
            for values, value in zip(ratios, (*cpu, *clock), strict=True):
                values.append(value)
    return Start(*map(_summarize, ratios))


def import_torch() -> tuple[float, float]:
    """Return the CPU and wall-clock seconds of a process that imports torch."""
    start = time.monotonic()
    program = "import torch, time; print(time.process_time())"
    process = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return float(process.stdout), time.monotonic() - start


def _time_start_and_resume(store: Store) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the CPU and wall-clock seconds from a start to its first point, and from a resume to the next point."""
    from netloom import runs

    task = small_mlp(epochs=10_000)
    training = task.project.training.model_copy(update={"epochs": task.epochs})
    project = task.project.model_copy(update={"training": training})
    project_id = store.create_project(project)
    start = time.monotonic()
    run_id = runs.start(store, project_id, project)
    try:
        first_point = _wait_for_point_after(store, run_id, 0, start)
        runs.stop(store, run_id)
        runs.wait(store, run_id, PATIENCE_S)
        last_step = max(store.points(run_id).step)
        start = time.monotonic()
        runs.resume(store, run_id)
        return first_point, _wait_for_point_after(store, run_id, last_step, start)
    finally:
        runs.stop(store, run_id)
        runs.wait(store, run_id, PATIENCE_S)


def _wait_for_point_after(store: Store, run_id: str, step: int, start: float) -> tuple[float, float]:
    """Wait for a point after `step`. Returns CPU seconds of the worker and wall-clock seconds since `start`."""
    worker = psutil.Process(store.run(run_id).pid)
    with contextlib.suppress(psutil.Error):  # workers are niced, so that other load would be measured
        worker.nice(psutil.Process().nice())
    while max(store.points(run_id).step, default=0) <= step:
        run = store.run(run_id)
        if run.state in ("failed", "stopped"):
            raise RuntimeError(f"The run ended before its first point: {run.reason}")
        if time.monotonic() - start > PATIENCE_S:
            raise TimeoutError(f"The run had no first point within {PATIENCE_S:g} seconds.")
        time.sleep(0.02)
    times = worker.cpu_times()
    return times.user + times.system, time.monotonic() - start
