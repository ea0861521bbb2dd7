"""The settings of a server."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 2**20
DEFAULT_BACKEND = "pytorch"  # its answers equal those of the app bit for bit
STOPPED = "The server has stopped."  # the last line of its output, unless it has failed
LOOPBACK = ("127.0.0.1", "localhost", "::1")  # addresses that only this machine can reach


@dataclass(frozen=True)
class BatchSettings:
    """How rows of several requests become a batch.

    Args:
        max_rows: the largest batch.
        max_wait_s: how long the first row of a batch waits for others while the model is idle. While it is busy, rows
            gather anyway.
        max_queue: the number of rows that may wait; a request beyond it is refused.
        is_exact: compute each row by itself, so that answers equal those of the app bit for bit under any load.
    """

    max_rows: int = 64
    max_wait_s: float = 0.0
    max_queue: int = 2_048
    is_exact: bool = False


@dataclass(frozen=True)
class Limits:
    """What a client may ask for.

    Args:
        body_bytes: the largest body of a request.
        rows: the largest number of rows of a request.
        connections: the number of open connections, and of requests that are answered at the same time.
        request_s: the time in which a connection has to send the head of a request, from its start or its last answer.
        body_s: the time in which the body has to arrive.
        answer_s: the time within which a prediction is answered.
        explain_s: the same for an explanation.
        rate: requests per second and key, or client address without keys; 0 for no limit.
        burst: the number of requests that may come at once before `rate` counts.
        chats: the number of dialogues that may be open.
        chat_s: the time without a message after which a dialogue ends.
        responses: the number of responses that may be generated or wait for it.
    """

    body_bytes: int = 16 * MIB
    rows: int = 10_000
    connections: int = 1_000
    request_s: float = 30.0
    body_s: float = 30.0
    answer_s: float = 60.0
    explain_s: float = 300.0
    rate: float = 0.0
    burst: int = 20
    chats: int = 5_000
    chat_s: float = 1_800.0
    responses: int = 64


@dataclass(frozen=True)
class ServerSettings:
    """All settings of a server.

    Args:
        cache_bytes: the size of the cache of answers; 0 for none.
        drain_s: how long requests may take to finish when the server is stopped.
        needs_key: whether a request needs an API key.
        backend: what computes the outputs of networks, by its name in `serving.backend`.
    """

    host: str = "127.0.0.1"
    port: int = 8800
    batches: BatchSettings = field(default_factory=BatchSettings)
    limits: Limits = field(default_factory=Limits)
    cache_bytes: int = 64 * MIB
    drain_s: float = 30.0
    needs_key: bool = False
    backend: str = DEFAULT_BACKEND
