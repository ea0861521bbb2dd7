"""How much of a run's time looking on may take."""

from __future__ import annotations

import time


class Budget:
    """Allows a `share` of this process's processor time, and `free_s` seconds at the start, so that short runs have
    something to show. Processor time, as on a busy machine a second of the clock holds little of it."""

    def __init__(self, share: float, free_s: float = 0.0) -> None:
        self._share, self._free_s = share, free_s
        self._began = time.process_time()
        self._spent_s = 0.0

    def left(self) -> bool:
        """Whether some of it is left."""
        return self._spent_s <= self._free_s + self._share * (time.process_time() - self._began)

    def spend(self, seconds: float) -> None:
        self._spent_s += max(0.0, seconds)
