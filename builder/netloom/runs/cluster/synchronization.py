"""Synchronization of the ranks of a shared training loop: commands to rank 0 take effect on all ranks after the same
step."""

from __future__ import annotations

import time
from contextlib import suppress

from netloom.document.optimizer_settings import SCHEDULES
from netloom.training.trainer import Callback, Trainer
from netloom.training.trainers.distributed import DistributedTrainer

# The interval in seconds at which rank 0 polls for commands, and the maximum steps between two polls.
EVERY_S, MAX_STEPS = 0.1, 1_000


class RankSynchronizer(Callback):
    """The callback that each rank calls between steps. After a number of steps that all ranks know, rank 0 broadcasts
    whether to continue, and the learning rate. `inner` is the callback of rank 0; the other ranks have none."""

    def __init__(self, inner: Callback | None = None) -> None:
        self._inner = inner
        self._next = 0
        self._synced_at_s, self._synced_step = time.monotonic(), 0

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        if self._inner is not None:
            self._inner.log_metrics(step, epoch, split, values)

    def log_event(self, kind: str, sentence: str) -> None:
        if self._inner is not None:
            self._inner.log_event(kind, sentence)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self._inner is not None and isinstance(trainer, DistributedTrainer) and trainer.problem is None:
            try:
                self._inner.on_epoch_end(trainer)
            except Exception as error:  # raised once all ranks have left the step
                trainer.problem = error

    def should_continue(self, trainer: Trainer) -> bool:
        if not isinstance(trainer, DistributedTrainer):
            raise TypeError("Only a shared loop can be agreed on.")
        if trainer.step < self._next:  # equal on all ranks, so all of them broadcast after the same step
            return True
        going = self._ask(trainer) if self._inner is not None else True
        schedule = list(SCHEDULES).index(trainer.training.schedule)
        going, rate, schedule, self._next = trainer.from_first(
            (going, trainer.learning_rate, schedule, self._pace(trainer))
        )
        if self._inner is None:
            trainer.learning_rate = rate
            if (name := list(SCHEDULES)[schedule]) != trainer.training.schedule:
                trainer.training = trainer.training.model_copy(update={"schedule": name})
        return bool(going)

    def _ask(self, trainer: DistributedTrainer) -> bool:
        if trainer.problem is not None or self._inner is None:
            return False
        try:
            return self._inner.should_continue(trainer)
        except Exception as error:  # such as a full disk or a NaN loss: all ranks must end
            trainer.problem = error
            return False

    def _pace(self, trainer: Trainer) -> int:
        """Return the step of the next synchronization."""
        time_s, steps = time.monotonic(), trainer.step - self._synced_step
        each = (time_s - self._synced_at_s) / steps if steps else 0.0
        self._synced_at_s, self._synced_step = time.monotonic(), trainer.step
        count = 1
        with suppress(ZeroDivisionError):  # before the first step, and if the clock did not advance
            count = int(EVERY_S / each)
        return trainer.step + max(1, min(MAX_STEPS, count))
