"""Monitors the progress of a run: its epoch and step, the steps per second, and the time left."""

from __future__ import annotations

from netloom.store.run_summary import RunSummary
from netloom.training.speed.throughput import Throughput
from netloom.training.trainer import Callback, Trainer


class ThroughputMonitor(Callback):
    """Follows the `epoch` and the `step` of the trainer, for threads that cannot ask it. `is_paused` time does not
    count toward the throughput."""

    def __init__(self) -> None:
        self.epoch = self.step = self.total_steps = 0
        self.is_paused = False
        self._throughput = Throughput()

    def start(self, trainer: Trainer) -> None:
        self.total_steps = trainer.total_steps
        self._follow(trainer)  # a resumed run does not start at step 0

    def should_continue(self, trainer: Trainer) -> bool:
        self._follow(trainer)
        return True

    def on_epoch_end(self, trainer: Trainer) -> None:
        self._follow(trainer)

    def resume(self) -> None:
        """Continue after a pause."""
        self._throughput.pause()
        self.is_paused = False

    def measure(self) -> RunSummary:
        """Return the throughput until now and the estimated time left, as a part of the summary of the run."""
        if not self.is_paused:
            self._throughput.update(self.step)
        rate, steps_left = self._throughput.steps_per_s, self.total_steps - self.step
        return RunSummary(
            steps_per_s=rate,
            eta_s=steps_left / rate if rate else None,
            eta_range_s=self._throughput.left(steps_left),
            speeds=tuple(self._throughput.history),
        )

    def _follow(self, trainer: Trainer) -> None:
        self.epoch, self.step = trainer.epoch, trainer.step
