"""Ends a run that exceeds its limits: time, memory, processes or disk space."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from netloom.runs.resources.limits import Guard, RunLimits
from netloom.store.run_end import RunEnd
from netloom.training.errors import TrainingError
from netloom.training.trainer import Callback, Trainer

if TYPE_CHECKING:
    from netloom.store import RunArtifacts


class LimitGuard(Callback):
    """Stops the training between two steps once a limit is exceeded. A thread measures, as this takes a while: it calls
    `check`."""

    def __init__(self, limits: RunLimits, artifacts: RunArtifacts) -> None:
        self._limits, self._guard = limits, Guard(limits, artifacts.local_directory())
        self._deadline = time.monotonic() + limits.wall_s if limits.wall_s else math.inf
        self._is_over_time = False
        self._problem = ""

    def should_continue(self, trainer: Trainer) -> bool:
        """Return whether there is time left.

        Raises:
            TrainingError: another limit is exceeded.
        """
        if self._problem:
            raise TrainingError(self._problem)
        return not self.is_over_time()

    def check(self) -> None:
        """Measure the memory, the processes and the disk space."""
        self._problem = self._problem or self._guard.problem()

    def is_over_time(self) -> bool:
        self._is_over_time = self._is_over_time or time.monotonic() > self._deadline
        return self._is_over_time

    @property
    def end(self) -> RunEnd | None:
        """How the run ended, if this callback has stopped it."""
        return RunEnd("stopped", self._limits.too_long) if self._is_over_time else None

    def close(self) -> None:
        """End the processes that the training has left behind."""
        self._guard.finish()
