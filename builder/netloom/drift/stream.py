"""Detectors of a change in a stream of numbers, such as the errors of predictions whose labels arrive later."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field


@dataclass
class PageHinkley:
    """The Page–Hinkley test: the mean of a stream has increased.

    `tolerance` is the increase that is not a change, and `threshold` the cumulative deviation that is one; both are in
    the unit of the stream. Page 1954, https://doi.org/10.2307/2333009
    """

    threshold: float
    tolerance: float = 0.005
    min_values: int = 30
    count: int = 0
    mean: float = 0.0
    deviation: float = 0.0
    smallest: float = 0.0

    def update(self, value: float) -> bool:
        """Add a value. Returns whether the mean has increased; the test then starts again."""
        self.count += 1
        self.mean += (value - self.mean) / self.count
        self.deviation += value - self.mean - self.tolerance
        self.smallest = min(self.smallest, self.deviation)
        if self.count < self.min_values or self.deviation - self.smallest <= self.threshold:
            return False
        self.count, self.mean, self.deviation, self.smallest = 0, 0.0, 0.0, 0.0
        return True


@dataclass
class Adwin:
    """ADWIN: the longest recent window of a stream of numbers from 0 to 1 without a change of the mean.

    `delta` is the probability of a false alarm. Unlike the original, it stores each value of a window of at most
    `max_window` values. Bifet and Gavaldà 2007, https://doi.org/10.1137/1.9781611972771.42
    """

    delta: float = 0.002
    max_window: int = 2_000
    check_every: int = 16
    window: deque[float] = field(default_factory=deque)
    count: int = 0

    @property
    def mean(self) -> float:
        """The mean of the window; NaN if it is empty."""
        return sum(self.window) / len(self.window) if self.window else math.nan

    def update(self, value: float) -> bool:
        """Add a value. Returns whether the mean has changed; values before the change are then dropped."""
        self.window.append(value)
        self.count += 1
        if len(self.window) > self.max_window:
            self.window.popleft()
        if self.count % self.check_every:
            return False
        changed = False
        while (cut := self._cut()) is not None:
            changed = True
            for _ in range(cut):
                self.window.popleft()
        return changed

    def _cut(self) -> int | None:
        """Return the first place at which both parts of the window differ significantly; None if there is none."""
        count, total = len(self.window), sum(self.window)
        variance = sum(value * value for value in self.window) / count - (total / count) ** 2 if count else 0.0
        confidence = math.log(2 * math.log(max(count, 3)) / self.delta)
        before = 0.0
        for index, value in enumerate(self.window, 1):
            before += value
            if index < 5 or count - index < 5:
                continue
            harmonic = 1 / (1 / index + 1 / (count - index))
            bound = math.sqrt(2 * max(variance, 0.0) * confidence / harmonic) + 2 * confidence / (3 * harmonic)
            if abs(before / index - (total - before) / (count - index)) > bound:
                return index
        return None
