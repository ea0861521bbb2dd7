"""Logs the points of the curves: a buffer between the training loop and the store."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from netloom.training.trainer import Callback

if TYPE_CHECKING:
    from netloom.store import Point, Run, Store


class CurveLogger(Callback):
    """Collects the points of the curves in memory, so that the loop does not wait for the store; `write` stores
    them."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store, self._run_id, self._claim = store, run.id, run.claim
        self._points: list[Point] = []
        self._writing = threading.Lock()  # before `_lock`, where both are held
        self._lock = threading.Lock()  # for `_points`

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        time_s = time.time()
        with self._lock:
            self._points += [(step, epoch, split, name, value, time_s) for name, value in values.items()]

    def write(self) -> bool:
        """Write the pending points. Returns whether there were any.

        Raises:
            ClaimLostError: another worker has claimed the run. This is noticed only if there are points.
        """
        # A checkpoint must wait for points that another thread is just writing; `log_metrics` must not.
        with self._writing:
            with self._lock:
                points, self._points = self._points, []
            try:
                if points:
                    self._store.add_points(self._run_id, points, holding=self._claim)
            except Exception:  # to be written at the next attempt, still in order
                with self._lock:
                    self._points = points + self._points
                raise
        return bool(points)
