"""A request that cannot be answered."""

from __future__ import annotations


class RequestError(Exception):
    """The server refuses a request.

    Args:
        message: a sentence that says what is wrong, and what to do.
        status: the HTTP status.
        retry_after_s: after how many seconds the client may try again, for the header `Retry-After`; 0 for never.
    """

    def __init__(self, message: str, status: int = 400, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.message, self.status, self.retry_after_s = message, status, retry_after_s
