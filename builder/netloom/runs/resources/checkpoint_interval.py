"""The interval between checkpoints of a run, chosen so that saving takes a small share of its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CheckpointInterval:
    """Decides when the next checkpoint is due, so that writing takes at most a `share` of the time of a run.

    The interval is at least `least_s` seconds on any disk, and at most `most_s`, which limits the work that is repeated
    after a kill. Other files that are written between checkpoints count, too.
    """

    def __init__(
        self, least_s: float, most_s: float, share: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._least_s, self._most_s, self._share, self._clock = least_s, most_s, share, clock
        # Seconds of writing since the start of the last checkpoint, and the time at its end.
        self._spent_s, self._since = 0.0, clock()

    @property
    def wait_s(self) -> float:
        """Return the seconds from a checkpoint to the next one, so that writing takes the configured share of the
        time."""
        # Solves share = spent / (spent + wait) for wait
        return min(self._most_s, max(self._least_s, self._spent_s * (1 / self._share - 1)))

    def due(self) -> bool:
        return self._clock() - self._since > self.wait_s

    @contextmanager
    def writing(self, *, checkpoint: bool = False) -> Iterator[None]:
        """Context that measures the time of writing. With `checkpoint`, the interval to the next one starts."""
        start_s = self._clock()
        if checkpoint:
            self._spent_s = 0.0
        try:
            yield
        finally:
            end_s = self._clock()
            self._spent_s += end_s - start_s
            if checkpoint:
                self._since = end_s
