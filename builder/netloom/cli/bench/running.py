"""What a run costs besides its steps: its curves and heartbeat, looking at its layers, its start and its resume."""

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

# Long enough that what is done a few times a second counts as it does in a run of hours.
LEAST_S = 6.0
PATIENCE_S = 300.0
# A poll between two steps takes some microseconds, one that writes a checkpoint some milliseconds.
LONG_S = 5e-4
# codecarbon, where it is installed, first looks at what the machine has.
SETTLE_S = 3.0


@dataclass(frozen=True)
class Cost:
    """What a run does besides its steps, as a share of them: points, heartbeat and commands; its observer; and keeping
    its weights, so that nothing is lost."""

    title: str
    recorded: Ratio
    observed: Ratio
    saved: Ratio


@dataclass(frozen=True)
class Start:
    """The time from a start to the first point of a curve, and from a resume to the first point behind its checkpoint,
    as a part of what a process takes to import torch: of the processor, where the worker's counts, and of the clock.

    The first start of a program pays for an import, the others for none where workers are forked.
    """

    first_point: Ratio
    resumed: Ratio
    first_point_clock: Ratio
    resumed_clock: Ratio


def measure_cost(task: Task, repeats: int) -> Cost:
    """Train a task as a worker does, and count what is not a step.

    It is counted within one run, in seconds of the processor, so that nothing else on the machine counts.
    """
    _shares(task, task.epochs)  # torch sets itself up
    *_, steps_s = _shares(task, task.epochs)
    epochs = max(1, round(LEAST_S / steps_s * task.epochs))
    recorded, observed, saved, _ = zip(*(_shares(task, epochs) for _ in range(repeats)), strict=True)
    return Cost(task.title, _spread(recorded), _spread(observed), _spread(saved))


def _spread(values: Sequence[float]) -> Ratio:
    return Ratio(median(values), min(values), max(values))


def _shares(task: Task, epochs: int) -> tuple[float, float, float, float]:
    """The shares of what is recorded, observed and saved, and the seconds of the steps themselves."""
    import torch

    from netloom.compile import module
    from netloom.data import prepare
    from netloom.runs.limits import declared
    from netloom.runs.run_reporter import RunReporter
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
        observer = _Observer(project, artifacts)
        reporter = RunReporter(store, run, artifacts, observer, declared())
        reporter.start(trainer)
        counting = _Counting(reporter, observer)
        time.sleep(SETTLE_S)
        try:
            clock_start = time.monotonic()
            threads_s = time.process_time() - time.thread_time()
            start = time.thread_time()
            trainer.fit(counting)
            loop_s = time.thread_time() - start
            threads_s = time.process_time() - time.thread_time() - threads_s
            clock_s = time.monotonic() - clock_start
        finally:
            reporter.close()
    counting.settle(*_counting_costs(trainer, observer))
    observed_s = observer.spent_s + counting.looking_s()
    recorded_s = counting.spent_s - counting.saved_s
    saved_s = counting.saved_s - observer.after_s
    recorded_s -= observer.spent_s - observer.after_s
    steps_s = loop_s - counting.spent_s - counting.looking_s()
    # What goes by the clock takes its share of the clock: of the steps' time, where the machine does nothing else.
    return recorded_s / steps_s + threads_s / clock_s, observed_s / steps_s, saved_s / steps_s, steps_s


def _counting_costs(trainer: Trainer, observer: _Observer) -> tuple[float, float]:
    """Seconds that counting takes in each call where there is nothing to count."""
    idle = _Counting(Callback(), observer, is_idle=True)
    loss = _zero()
    for _ in range(5_000):
        idle.on_step_start(trainer, [], None)
        idle.on_step_end(trainer, loss)
        idle.should_continue(trainer)
    return idle.each()


def _zero() -> torch.Tensor:
    import torch

    return torch.zeros(())


class _Observer(Observer):
    """Counts what it takes besides `learn`, and says which steps it looked at."""

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


class _Counting(Callback):
    """A reporter and an observer, and what their calls take: `spent_s` besides those around the steps."""

    def __init__(self, reporter: Callback, observer: _Observer, *, is_idle: bool = False) -> None:
        self._reporter, self._observer, self._is_idle = reporter, observer, is_idle
        self._step_began = 0.0
        self.spent_s = self.saved_s = self._around_s = 0.0
        self._plain: list[float] = []
        self._looked: list[float] = []
        self._calls = 0

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        def log() -> None:
            self._reporter.log_metrics(step, epoch, split, values)
            self._observer.log_metrics(step, epoch, split, values)

        self._counted(log)

    def should_continue(self, trainer: Trainer) -> bool:
        spent_before_s = self.spent_s
        continues = bool(self._counted(lambda: self._reporter.should_continue(trainer)))
        if self.spent_s - spent_before_s > LONG_S:  # a checkpoint was due
            self.saved_s += self.spent_s - spent_before_s
        return continues

    def on_epoch_end(self, trainer: Trainer) -> None:
        def end() -> None:
            self._reporter.on_epoch_end(trainer)
            self._observer.on_epoch_end(trainer)

        spent_before_s = self.spent_s
        self._counted(end)
        self.saved_s += self.spent_s - spent_before_s

    def on_step_start(self, trainer: Trainer, inputs: list[torch.Tensor], targets: Targets | None) -> None:
        self._observer.looked = False
        start = time.thread_time()
        if not self._is_idle:
            self._observer.on_step_start(trainer, inputs, targets)
        self._step_began = time.thread_time()
        self._around_s += self._step_began - start

    def on_step_end(self, trainer: Trainer, loss: torch.Tensor) -> None:
        end = time.thread_time()
        if not self._is_idle:
            self._observer.on_step_end(trainer, loss)
        self._around_s += time.thread_time() - end
        (self._looked if self._observer.looked else self._plain).append(end - self._step_began)

    def looking_s(self) -> float:
        """What is around the steps, and what those that were looked at took more than the others."""
        return self._around_s + sum(self._looked) - len(self._looked) * fmean(self._plain)

    def settle(self, spent_s: float, around_s: float) -> None:
        """Take away what counting itself takes in each call, which on some machines is more than what is counted."""
        self.spent_s -= self._calls * spent_s
        self._around_s -= (len(self._plain) + len(self._looked)) * around_s

    def each(self) -> tuple[float, float]:
        """Seconds of a call, besides `learn` and around it, on average."""
        return self.spent_s / self._calls, self._around_s / len(self._plain)

    def _counted(self, call: Callable[[], Any]) -> Any:
        self._calls += 1
        start = time.thread_time()
        try:
            return call()
        finally:
            self.spent_s += time.thread_time() - start


def measure_start(repeats: int) -> Start:
    """Start and resume runs of the small network, each beside a process that imports torch and ends."""
    from netloom.store import open_store

    ratios: list[list[float]] = [[], [], [], []]
    for _ in range(repeats):
        with TemporaryDirectory(prefix="netloom-bench-") as home:
            torch_cpu_s, torch_s = import_torch()
            (start_cpu, start_clock), (resume_cpu, resume_clock) = _started(open_store(Path(home)))
            cpu, clock = (
                (start_cpu / torch_cpu_s, resume_cpu / torch_cpu_s),
                (start_clock / torch_s, resume_clock / torch_s),
            )
            for values, value in zip(ratios, (*cpu, *clock), strict=True):
                values.append(value)
    return Start(*map(_spread, ratios))


def import_torch() -> tuple[float, float]:
    """Seconds that a process takes to start and to import torch: of the processor, and of the clock."""
    start = time.monotonic()
    program = "import torch, time; print(time.process_time())"
    process = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return float(process.stdout), time.monotonic() - start


def _started(store: Store) -> tuple[tuple[float, float], tuple[float, float]]:
    """From a start to its first point on a curve, and from a resume to the first point behind its checkpoint."""
    from netloom import runs

    task = small_mlp(epochs=10_000)
    training = task.project.training.model_copy(update={"epochs": task.epochs})
    project = task.project.model_copy(update={"training": training})
    project_id = store.create_project(project)
    start = time.monotonic()
    run_id = runs.start(store, project_id, project)
    try:
        first_point = _until_behind(store, run_id, 0, start)
        runs.stop(store, run_id)
        runs.wait(store, run_id, PATIENCE_S)
        last_step = max(store.points(run_id).step)
        start = time.monotonic()
        runs.resume(store, run_id)
        return first_point, _until_behind(store, run_id, last_step, start)
    finally:
        runs.stop(store, run_id)
        runs.wait(store, run_id, PATIENCE_S)


def _until_behind(store: Store, run_id: str, step: int, start: float) -> tuple[float, float]:
    """Seconds until a point behind `step`: those of the worker's processor, and those of the clock since `start`."""
    worker = psutil.Process(store.run(run_id).pid)
    with contextlib.suppress(psutil.Error):  # it gives way to others, which would be measured instead
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
