"""A time budget for observing a run."""

from __future__ import annotations

import time


class Budget:
    """Allows a `share` of the CPU time of this process, plus `free_s` seconds, so that short runs have results, too.
    Uses CPU time, because on a busy machine a second of wall-clock time contains little of it."""

    def __init__(self, share: float, free_s: float = 0.0) -> None:
        self._share, self._free_s = share, free_s
        self._began = time.process_time()
        self._spent_s = 0.0

    def left(self) -> bool:
        """Return whether the budget is not yet used up."""
        return self._spent_s <= self._free_s + self._share * (time.process_time() - self._began)

    def spend(self, seconds: float) -> None:
        self._spent_s += max(0.0, seconds)
