"""Responses of dialogues that a run generates: one at a time, in a thread, with a bounded number that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from netloom.core.errors import DataError, UsageError
from netloom.serving.errors import RequestError

R = TypeVar("R")


class ResponseQueue:
    """Computes responses one after the other.

    Args:
        most: The number of responses that may be computed or wait at the same time.
        timeout_s: The time within which a response is answered.
    """

    def __init__(self, most: int, timeout_s: float) -> None:
        self.most, self.timeout_s = most, timeout_s
        self._count = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="responses")

    async def run(self, respond: Callable[[], R]) -> R:
        """Return the result of a function that may generate a response.

        Raises:
            RequestError: too many responses wait, this one takes too long, or it cannot be generated.
        """
        if self._count >= self.most:
            raise RequestError(
                f"{self._count} responses are being generated, as many as this server allows; try again later.",
                429,
                1.0,
            )
        self._count += 1
        response = asyncio.wrap_future(self._executor.submit(respond))
        response.add_done_callback(self._finish)
        try:
            async with asyncio.timeout(self.timeout_s):
                return await response  # if nobody waits any longer, one that has not begun is canceled
        except TimeoutError:
            raise RequestError(
                f"The response took longer than {self.timeout_s:g} s; try again later.", 503, self.timeout_s
            ) from None
        except (UsageError, DataError) as error:
            raise RequestError(str(error), 409) from None

    def _finish(self, response: asyncio.Future[R]) -> None:
        self._count -= 1
