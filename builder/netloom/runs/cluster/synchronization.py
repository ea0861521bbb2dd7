"""How the ranks of a shared loop stay together: what rank 0 is asked for, all do after the same step."""

from __future__ import annotations

import time
from contextlib import suppress

from netloom.document.optimizer_settings import SCHEDULES
from netloom.training.trainer import Callback, Trainer
from netloom.training.trainers.distributed import DistributedTrainer

# How often rank 0 asks what to do, and the most steps from one time to the next.
EVERY_S, MOST_STEPS = 0.1, 1_000


class RankSynchronizer(Callback):
    """What each rank's loop asks between steps. Every so many steps, a number that all know, rank 0 tells the others
    whether to go on, and at which rate. `inner` is whom rank 0 asks itself; the other ranks have none."""

    def __init__(self, inner: Callback | None = None) -> None:
        self._inner = inner
        self._next = 0
        self._asked_at, self._asked_step = time.monotonic(), 0

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
            except Exception as error:  # it is raised where all ranks have ended
                trainer.problem = error

    def should_continue(self, trainer: Trainer) -> bool:
        if not isinstance(trainer, DistributedTrainer):
            raise TypeError("Only a shared loop can be agreed on.")
        if trainer.step < self._next:
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
        except Exception as error:  # a full disk, or a loss that is none: all ranks have to end
            trainer.problem = error
            return False

    def _pace(self, trainer: Trainer) -> int:
        """The step after which to ask again."""
        now, steps = time.monotonic(), trainer.step - self._asked_step
        each = (now - self._asked_at) / steps if steps else 0.0
        self._asked_at, self._asked_step = time.monotonic(), trainer.step
        count = 1
        with suppress(ZeroDivisionError):
            count = int(EVERY_S / each)
        return trainer.step + max(1, min(MOST_STEPS, count))
