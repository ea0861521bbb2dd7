"""How the ranks of a shared loop stay together: what rank 0 is asked for, all do after the same step."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from netloom.document.optimizer_settings import SCHEDULES
from netloom.runs.cluster.distributed_loop import SharedLoop
from netloom.training.loop import Loop, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

# How often rank 0 asks what to do, and the most steps from one time to the next.
EVERY_S, MOST_STEPS = 0.1, 1_000


class Agreement(Watch):
    """What each rank's loop asks between steps. Every so many steps, a number that all know, rank 0 tells the others
    whether to go on, and at which rate. `inner` is whom rank 0 asks itself; the other ranks have none."""

    def __init__(self, inner: Watch | None = None) -> None:
        self._inner = inner
        self._next = 0
        self._asked_at, self._asked_step = time.monotonic(), 0

    def record(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        if self._inner is not None:
            self._inner.record(step, epoch, split, values)

    def note(self, kind: str, sentence: str) -> None:
        if self._inner is not None:
            self._inner.note(kind, sentence)

    def learn(self, learn: Callable[..., torch.Tensor], *batch: Any) -> torch.Tensor:
        return learn(*batch) if self._inner is None else self._inner.learn(learn, *batch)

    def epoch_done(self, loop: Loop) -> None:
        if self._inner is not None and isinstance(loop, SharedLoop) and loop.problem is None:
            try:
                self._inner.epoch_done(loop)
            except Exception as error:  # it is raised where all ranks have ended
                loop.problem = error

    def poll(self, loop: Loop) -> bool:
        if not isinstance(loop, SharedLoop):
            raise TypeError("Only a shared loop can be agreed on.")
        if loop.step < self._next:
            return True
        going = self._ask(loop) if self._inner is not None else True
        schedule = list(SCHEDULES).index(loop.training.schedule)
        going, rate, schedule, self._next = loop.from_first((going, loop.learning_rate, schedule, self._pace(loop)))
        if self._inner is None:
            loop.learning_rate = rate
            if (name := list(SCHEDULES)[schedule]) != loop.training.schedule:
                loop.training = loop.training.model_copy(update={"schedule": name})
        return bool(going)

    def _ask(self, loop: SharedLoop) -> bool:
        if loop.problem is not None or self._inner is None:
            return False
        try:
            return self._inner.poll(loop)
        except Exception as error:  # a full disk, or a loss that is none: all ranks have to end
            loop.problem = error
            return False

    def _pace(self, loop: Loop) -> int:
        """The step after which to ask again."""
        now, steps = time.monotonic(), loop.step - self._asked_step
        each = (now - self._asked_at) / steps if steps else 0.0
        self._asked_at, self._asked_step = time.monotonic(), loop.step
        count = 1
        with suppress(ZeroDivisionError):
            count = int(EVERY_S / each)
        return loop.step + max(1, min(MOST_STEPS, count))
