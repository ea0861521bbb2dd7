"""How often a run saves itself: as often as costs little of its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CheckpointInterval:
    """When the next checkpoint is due, so that writing takes at most a `share` of a run's time.

    However fast the disk, `least_s` seconds lie between two checkpoints, and however slow, not more than `most_s`: so
    much of a run is done again at most after a kill. What is written beside the checkpoints counts as well.
    """

    def __init__(
        self, least_s: float, most_s: float, share: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._least_s, self._most_s, self._share, self._clock = least_s, most_s, share, clock
        # What was written since the last checkpoint began, itself included, and when it had been written.
        self._spent_s, self._since = 0.0, clock()

    @property
    def wait_s(self) -> float:
        """How long after a checkpoint the next one is due: so long that the last is the share of the whole."""
        return min(self._most_s, max(self._least_s, self._spent_s * (1 / self._share - 1)))

    def due(self) -> bool:
        return self._clock() - self._since > self.wait_s

    @contextmanager
    def writing(self, *, checkpoint: bool = False) -> Iterator[None]:
        """Measure what is written within; from a checkpoint on, the time to the next one counts."""
        begun = self._clock()
        if checkpoint:
            self._spent_s = 0.0
        try:
            yield
        finally:
            now = self._clock()
            self._spent_s += now - begun
            if checkpoint:
                self._since = now
