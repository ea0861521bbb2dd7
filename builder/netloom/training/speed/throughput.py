"""The throughput of a run, its variation, and the estimated remaining time."""

from __future__ import annotations

import time

# The number of heartbeats for the current speed (a mean), for its variation, and for the chart of the page.
CURRENT, SPREAD, DRAWN = 6, 30, 60
# Each speed spans several heartbeats, because a single one can contain no step, or the evaluation after an epoch.
ACROSS = 4
# The range of the remaining time follows from these quantiles of the latest speeds.
TENTH = 0.1


class Throughput:
    """Updated with the step at every heartbeat; `history` holds the latest speeds in steps per second."""

    def __init__(self) -> None:
        self.steps_per_s = 0.0
        self.history: list[float] = []
        self._heartbeats: list[tuple[float, int]] = []  # time in seconds and step of the latest heartbeats

    def update(self, step: int, time_s: float | None = None) -> None:
        """Record the step at `time_s`, in seconds of a monotonic clock."""
        at = time.monotonic() if time_s is None else time_s
        self._heartbeats = [*self._heartbeats[-SPREAD:], (at, step)]
        (start, first), (end, last) = self._heartbeats[-CURRENT:][0], self._heartbeats[-1]
        if end > start and last > first:
            self.steps_per_s = (last - first) / (end - start)
            self.history = [*self.history[1 - DRAWN :], round(self.steps_per_s, 4)]

    def pause(self) -> None:
        """Reset the measurement, so that a pause does not count."""
        self._heartbeats = []

    def left(self, steps: int) -> tuple[float, float] | None:
        """Return the range of seconds that these steps will take; None if it is unknown."""
        pairs = zip(self._heartbeats, self._heartbeats[ACROSS:], strict=False)
        speeds = sorted((last - first) / (end - start) for (start, first), (end, last) in pairs if end > start)
        speeds = [speed for speed in speeds if speed > 0] or [self.steps_per_s]
        if not speeds[0]:
            return None
        index = round(TENTH * (len(speeds) - 1))
        return steps / speeds[-1 - index], steps / speeds[index]
