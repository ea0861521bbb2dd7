"""Dynamic batching: rows of requests that arrive at the same time are computed together.

This module, and those that it imports, are copied into production exports, and need the standard library alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netloom.serving.errors import RequestError
from netloom.serving.metrics import Metrics
from netloom.serving.server_settings import BatchSettings

if TYPE_CHECKING:
    from netloom.serving.models.served_model import Outcome, Row, ServedModel


@dataclass(eq=False)  # rows can have arrays, whose equality is an array
class _Waiting:
    """Rows of one request, and the future of their answers."""

    rows: Sequence[Row]
    future: asyncio.Future[list[Outcome]]


class Batcher:
    """The queue of one model. One thread computes; the event loop alone touches the queue, so there is no lock."""

    def __init__(self, model: ServedModel, settings: BatchSettings, metrics: Metrics) -> None:
        self.model, self.settings = model, settings
        self._metrics = metrics
        self._queue: deque[_Waiting] = deque()
        self._queued_rows = 0
        self._is_busy = False
        self._timer: asyncio.TimerHandle | None = None  # of the first batch after the model was idle
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"model {model.version}")

    @property
    def queued_rows(self) -> int:
        """The number of rows that wait."""
        return self._queued_rows

    async def predict(self, rows: Sequence[Row]) -> list[Outcome]:
        """Return the answer of each row, or why it cannot be encoded.

        Raises:
            RequestError: too many rows wait.
        """
        size = self.settings.max_rows
        if self._queued_rows and self._queued_rows + len(rows) > self.settings.max_queue:
            raise RequestError(
                f"The model {self.model.name!r} has {self._queued_rows:,} rows in its queue and takes at most "
                f"{self.settings.max_queue:,}; try again later.",
                429,
                1.0,
            )
        loop = asyncio.get_running_loop()
        # Rows of a large request are queued in parts, so that others are computed in between
        parts = [_Waiting(rows[start : start + size], loop.create_future()) for start in range(0, len(rows), size)]
        self._queue.extend(parts)
        self._queued_rows += len(rows)
        if not self._is_busy:
            self._is_busy = True
            # Requests that are already in the loop join the batch
            self._timer = loop.call_later(self.settings.max_wait_s, self._start)
        if self._timer is not None and self._queued_rows >= size:  # a full batch does not wait
            self._timer.cancel()
            self._timer = None
            loop.call_soon(self._start)
        try:
            return [outcome for part in parts for outcome in await part.future]
        except BaseException:  # the client is gone, or the first part failed
            self._withdraw(parts)
            raise

    async def finish(self) -> None:
        """Wait until the queue is empty."""
        while self._is_busy or self._queue:
            await asyncio.sleep(0.01)

    def _withdraw(self, parts: list[_Waiting]) -> None:
        """Remove rows that nobody waits for."""
        for part in parts:
            if part in self._queue:
                self._queue.remove(part)
                self._queued_rows -= len(part.rows)

    def _start(self) -> None:
        self._timer = None
        batch = self._next_batch()
        if not batch:
            self._is_busy = False
            return
        rows = [row for part in batch for row in part.rows]
        self._metrics.observe_batch(self.model.name, len(rows))
        computed = self._executor.submit(self.model.predict, rows)
        asyncio.wrap_future(computed).add_done_callback(lambda done: self._finish(batch, done))

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        count = 0
        while self._queue and (not batch or count + len(self._queue[0].rows) <= self.settings.max_rows):
            part = self._queue.popleft()
            self._queued_rows -= len(part.rows)
            if not part.future.done():
                batch.append(part)
                count += len(part.rows)
        return batch

    def _finish(self, batch: list[_Waiting], done: asyncio.Future[list[Outcome]]) -> None:
        error = done.exception()
        outcomes = iter([] if error else done.result())
        for part in batch:
            answered = [] if error else [next(outcomes) for _ in part.rows]
            if part.future.done():  # the client is gone
                continue
            if error:
                part.future.set_exception(error)
            else:
                part.future.set_result(answered)
        self._start()
