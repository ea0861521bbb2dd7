"""The connections of a server: how many there are, and how long each may wait before it sends a request.

uvicorn limits only the time between the requests of a connection, not that before the first one, and refuses requests
while too many connections are open, also if none of the others asks for anything. Here, connections without a request
are closed in time, and the oldest of them make room for new ones, so that they cannot block a server.

This module is copied into production exports, and needs the standard library and uvicorn alone.
"""

from __future__ import annotations

import asyncio
import errno
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from netloom.serving.errors import RequestError
from netloom.serving.server_settings import Limits

_SWEEP_S = 1.0  # between two looks for connections to close
_RETRY_S = 1.0
_KEY = "netloom_transport"  # in the state that uvicorn copies into the scope of each request
_OWN_FILES = 200  # that a server opens beside its connections
_FEWEST = 8
_REPORT_EVERY_S = 60.0


class Connections:
    """The open connections of a server. Only the event loop changes them.

    Attributes:
        requests: the number of requests that are being answered.
        closed: how many connections without a request were closed.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits, self.requests, self.closed = limits, 0, 0
        self._open: set[asyncio.Transport] = set()
        self._deadlines: dict[asyncio.Transport, float] = {}  # of those without a request, in the order of time
        self._timer: asyncio.TimerHandle | None = None

    @property
    def most(self) -> int:
        """How many connections may be open: as many as the limits allow, or as the process may open files."""
        return min(self.limits.connections, max(_FEWEST, _file_limit() - _OWN_FILES))

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def request(self, scope: Mapping[str, Any]) -> Iterator[None]:
        """Count a request while it is answered. `scope` is that of ASGI."""
        transport = scope.get("state", {}).get(_KEY)
        self._deadlines.pop(transport, None)
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1
            if transport in self._open:
                self._wait(transport)

    def check_capacity(self) -> None:
        """Check that there are not too many requests.

        Raises:
            RequestError: there are.
        """
        most = self.most
        if self.requests > most:
            raise RequestError(f"The server is processing {most:,} other requests; try again later.", 503, _RETRY_S)

    def add(self, transport: asyncio.Transport) -> None:
        """Count a new connection, from which a request has to arrive in time."""
        self._open.add(transport)
        self._wait(transport)

    def remove(self, transport: asyncio.Transport) -> None:
        """Forget a connection that has ended."""
        self._open.discard(transport)
        self._deadlines.pop(transport, None)

    def _wait(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        self._deadlines[transport] = loop.time() + self.limits.request_s
        if self._timer is None:
            self._timer = loop.call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """Close connections whose time is over, and the oldest of those without a request while there are too many."""
        loop = asyncio.get_running_loop()
        excess, now = len(self._open) - self.most, loop.time()
        for transport, deadline in list(self._deadlines.items()):
            if deadline > now and excess <= 0:
                break
            excess -= 1
            self.closed += 1
            self.remove(transport)
            transport.abort()  # unlike close(), it does not wait for a client that does not read
        self._timer = loop.call_later(_SWEEP_S, self._sweep) if self._deadlines else None


def http_protocol(connections: Connections) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol of HTTP, whose connections are counted."""

    class CountedProtocol(AutoHTTPProtocol):  # type: ignore[valid-type, misc]
        def __init__(self, *, app_state: Mapping[str, Any], **named: Any) -> None:
            self._scope_state = dict(app_state)
            self._transport: asyncio.Transport | None = None
            super().__init__(app_state=self._scope_state, **named)

        def connection_made(self, transport: asyncio.Transport) -> None:
            self._transport = self._scope_state[_KEY] = transport
            super().connection_made(transport)
            connections.add(transport)

        def connection_lost(self, error: Exception | None) -> None:
            if self._transport is not None:
                connections.remove(self._transport)
            super().connection_lost(error)

    return CountedProtocol


def allow_files(limits: Limits) -> None:
    """Raise the number of files that this process may open, if it is too low for the connections and those that arrive
    between two sweeps: a server that cannot accept a connection cannot answer health checks either."""
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * limits.connections + _OWN_FILES
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def report_file_limit(report: Callable[[str], None]) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Return a handler of errors for an event loop, which reports at most once per minute that the process may open no
    more files: asyncio calls it for each connection that it cannot accept, thousands of times per second."""
    next_report = -math.inf

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal next_report
        error, now = context.get("exception"), time.monotonic()
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(context)
        elif now >= next_report:
            next_report = now + _REPORT_EVERY_S
            report(f"New connections wait: {error.strerror}. Raise the limit of open files (ulimit -n).")

    return handle


def _file_limit() -> int:
    """Return how many files this process may open."""
    try:
        import resource
    except ImportError:  # Windows
        return sys.maxsize
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
