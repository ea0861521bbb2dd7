"""How fast a run goes, how that sways, and how long the rest may take."""

from __future__ import annotations

import time

# Heartbeats that the present speed is the mean of, that its spread is taken from, and that the page draws.
NOW, SPREAD, DRAWN = 6, 30, 60
# A speed is taken over so many heartbeats: one alone may hold no step at all, or the measuring after an epoch.
ACROSS = 4
# The remaining time lies between what the slow and the fast tenth of the latest speeds would take.
TENTH = 0.1


class Throughput:
    """Fed with the step at every heartbeat; `history` are the latest speeds in steps a second."""

    def __init__(self) -> None:
        self.steps_per_s = 0.0
        self.history: list[float] = []
        self._seen: list[tuple[float, int]] = []

    def update(self, step: int, now: float | None = None) -> None:
        """`now` is in seconds, by any clock that does not go back."""
        at = time.monotonic() if now is None else now
        self._seen = [*self._seen[-SPREAD:], (at, step)]
        (start, first), (end, last) = self._seen[-NOW:][0], self._seen[-1]
        if end > start and last > first:
            self.steps_per_s = (last - first) / (end - start)
            self.history = [*self.history[1 - DRAWN :], round(self.steps_per_s, 4)]

    def pause(self) -> None:
        """Forget what was before: the time of a pause is nobody's speed."""
        self._seen = []

    def left(self, steps: int) -> tuple[float, float] | None:
        """Between how many seconds so many steps will take; None while nothing is known."""
        pairs = zip(self._seen, self._seen[ACROSS:], strict=False)
        speeds = sorted((last - first) / (end - start) for (start, first), (end, last) in pairs if end > start)
        speeds = [speed for speed in speeds if speed > 0] or [self.steps_per_s]
        if not speeds[0]:
            return None
        place = round(TENTH * (len(speeds) - 1))
        return steps / speeds[-1 - place], steps / speeds[place]
