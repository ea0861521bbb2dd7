"""The outermost layer of the server: who may ask, how much, and the log.

An ASGI application, https://asgi.readthedocs.io.
"""

from __future__ import annotations

import asyncio
import math
import time
import traceback
from itertools import count
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import to_json

from netloom.core import log
from netloom.serving.access_log import AccessLog
from netloom.serving.errors import RequestError
from netloom.serving.http import Call, Reply
from netloom.serving.keys import KeyRing
from netloom.serving.rate_limit import RateLimit
from netloom.serving.route import RouteTable
from netloom.serving.server_settings import LOOPBACK
from netloom.serving.server_state import ServerState

Scope = dict[str, Any]
_SECURITY_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class Gateway:
    """Answers requests by the routes."""

    def __init__(self, server: ServerState, access_log: AccessLog) -> None:
        self.server, self.access_log = server, access_log
        self.keys = KeyRing(server.home)
        self.rate_limit = RateLimit(server.settings.limits.rate, server.settings.limits.burst)
        self.routes = RouteTable()
        self._prefix, self._numbers = token_hex(6), count(1)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":  # a websocket
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        with self.server.connections.request(scope):
            await self._reply(scope, receive, send)

    async def _reply(self, scope: Scope, receive: Any, send: Any) -> None:
        start = time.perf_counter()
        call = self._call(scope)
        try:
            reply = await self._answer(call, receive)
        except RequestError as error:
            reply = _refusal(error, call.request_id)
        except asyncio.CancelledError:  # the client is gone
            raise
        except Exception as error:
            self._log_error(request=call.request_id, error=traceback.format_exc())
            message = f"The server failed ({type(error).__name__}); its log has the details."
            reply = _refusal(RequestError(message, 500), call.request_id)
        self._record(call, reply.status, time.perf_counter() - start)
        await _send(send, reply, call)

    def _call(self, scope: Scope) -> Call:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope["client"][0] if scope.get("client") else ""
        request_id = f"{self._prefix}{next(self._numbers):x}"
        return Call(scope["method"], scope["path"], headers, client, request_id)

    async def _answer(self, call: Call, receive: Any) -> Reply:
        route, call.params = self.routes.find(call.method, call.path)
        call.route = route.name
        if not route.is_open:
            self._authorize(call)
            self.server.connections.check_capacity()
            self.rate_limit.take(call.key or call.client)
        if call.method == "POST":
            call.body = await self._body(call, receive)
        return await route.answer(self.server, call)

    def _authorize(self, call: Call) -> None:
        """Check the API key, or that the request comes from this machine and not from a web page of somebody else.

        Raises:
            RequestError: it is refused.
        """
        if self.server.settings.needs_key:
            scheme, _, token = call.headers.get("authorization", "").partition(" ")
            is_bearer = scheme.lower() == "bearer"
            owner = self.keys.owner(token.strip() if is_bearer else call.headers.get("x-api-key", ""))
            if owner is None:
                raise RequestError("This server needs a valid API key in the header Authorization: Bearer KEY.", 401)
            call.key = owner
            return
        host = call.headers.get("host", "")
        # A page on another host name that resolves to this machine could read answers otherwise (DNS rebinding)
        if _host_name(host) not in LOOPBACK:
            raise RequestError("This server accepts only requests to localhost.", 403)
        origin = call.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise RequestError("This server does not accept requests from other web pages.", 403)

    async def _body(self, call: Call, receive: Any) -> bytes:
        limits = self.server.settings.limits
        too_large = RequestError(f"A body can have at most {limits.body_bytes:,} bytes; send fewer rows.", 413)
        if call.headers.get("content-encoding", "identity").lower() != "identity":
            raise RequestError("The server reads bodies without compression; leave out Content-Encoding.", 415)
        length = call.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > limits.body_bytes:
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RequestError("The connection ended before the body had arrived.", 400)
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limits.body_bytes:
                        raise too_large
                    if not message.get("more_body"):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            raise RequestError(f"The body did not arrive within {limits.body_s:g} s.", 408) from None

    def _record(self, call: Call, status: int, seconds: float) -> None:
        metrics = self.server.metrics
        metrics.observe_request(call.route or "unknown", status, seconds, call.version, call.rows)
        metrics.cached += call.is_cached
        try:
            self.access_log.write(
                id=call.request_id,
                method=call.method[:20],
                path=call.path[:200],
                route=call.route,
                status=status,
                ms=round(seconds * 1000, 3),
                client=call.client,
                key=call.key,
                model=call.version,
                rows=call.rows,
                cached=call.is_cached,
                **call.details,
            )
        except OSError as error:  # the disk is full, which must not stop the answers
            if not self.server.lost_log_lines:
                self._log_error(log=str(self.access_log.path), error=f"The access log loses lines: {error.strerror}.")
            self.server.lost_log_lines += 1

    def _log_error(self, **values: str) -> None:
        log.write_if_possible(self.server.home / log.ERRORS, "server", **values)


def _host_name(host: str) -> str:
    """Return the name in a `Host` header without its port; "" if it is invalid."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _refusal(error: RequestError, request_id: str) -> Reply:
    headers: tuple[tuple[str, str], ...] = ()
    if error.retry_after_s:
        headers = (("retry-after", str(math.ceil(error.retry_after_s))),)
    if error.status == 401:
        headers = (*headers, ("www-authenticate", "Bearer"))
    return Reply(to_json({"error": error.message, "request_id": request_id}), error.status, headers=headers)


async def _send(send: Any, reply: Reply, call: Call) -> None:
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        (b"x-request-id", call.request_id.encode()),
        *_SECURITY_HEADERS,
        *((name.encode(), value.encode("latin-1", "replace")) for name, value in reply.headers),
    ]
    if call.version:
        headers.append((b"netloom-model", _header_text(call.version)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _header_text(text: str) -> bytes:
    """Return a text as the value of a header; a name could contain other characters."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text).encode()
