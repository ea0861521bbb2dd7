"""Token buckets: how many requests a client may send per second.

https://en.wikipedia.org/wiki/Token_bucket
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from netloom.serving.errors import RequestError

_MAX_CLIENTS = 10_000  # those that were seen longest ago start again with a full bucket


class RateLimit:
    """A bucket for each client. It gains `rate` tokens per second up to `burst`, and each request takes one."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst = rate, max(1, burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Take a token of a client.

        Raises:
            RequestError: the bucket is empty.
        """
        if not self.rate:
            return
        time_s = self._clock()
        tokens, updated = self._buckets.get(client, (float(self.burst), time_s))
        tokens = min(float(self.burst), tokens + (time_s - updated) * self.rate)
        is_allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if is_allowed else tokens, time_s)
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if not is_allowed:
            raise RequestError(
                f"You have sent more than {self.rate:g} requests per second; slow down.", 429, (1 - tokens) / self.rate
            )
