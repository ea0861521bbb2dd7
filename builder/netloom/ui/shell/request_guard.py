"""The requests that the web server answers, and the security headers of its answers.

A page of another site can send requests to a server on this machine, and by DNS rebinding even from the server's own
origin: the browser then sends the name of the other site as `Host`. So a request is answered only for a known host, and
a WebSocket, which the same-origin policy does not protect, only for a page of the same origin.
https://datatracker.ietf.org/doc/html/rfc6455#section-10.2
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address
from typing import Any

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netloom.core.settings import settings, variable
from netloom.ui.components.streamlit_internals import METRICS
from netloom.ui.shell.compressed_files import CompressedFiles
from netloom.ui.shell.identity import BrowserCookie
from netloom.ui.shell.upload_quota import UploadQuota

HOSTS = variable("hosts")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# It would show the memory and the caches of the server to everyone.
CLOSED = METRICS
# Addresses to listen on that are not the name of a host.
WILDCARDS = ("", "0.0.0.0", "::")
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?", re.IGNORECASE)
_READING = ("GET", "HEAD", "OPTIONS")


def known_hosts() -> frozenset[str]:
    """Return the host names of the server: the loopback, and those of Streamlit's settings and of NETLOOM_HOSTS.

    `*.example.org` matches all subdomains, and `*` every name.
    """
    hosts = set(LOOPBACK)
    for option in ("server.address", "browser.serverAddress"):
        address = str(st.get_option(option) or "")
        if address not in WILDCARDS and not address.startswith("unix:"):
            hosts.add(address)
    hosts |= set(st.get_option("server.allowedHosts") or ())
    hosts |= set(re.split(r"[\s,]+", settings.hosts))
    return frozenset(name.strip("[]. ").lower() for name in hosts) - {""}


def host_name(host: str) -> str:
    """Return the name in a `Host` header without its port; "" if it is invalid."""
    match = _HOST.fullmatch(host)
    return match["name"].strip("[]").rstrip(".").lower() if match else ""


def is_known(name: str, names: Collection[str], arrived_at: str = "") -> bool:
    """Return whether a host name is known, or is the IP address at which the connection arrived.

    The page of a DNS rebinding attack has a name, never an address.
    """
    if not name:
        return False
    # The chained comparison excludes names, whose address is None.
    if name in names or "*" in names or _address(name) == _address(arrived_at) is not None:
        return True
    return any(pattern.startswith("*.") and name.endswith(pattern[1:]) for pattern in names)


def is_same_origin(origin: str, host: str) -> bool:
    """Return whether an `Origin` header has the same host and port as the `Host` header."""
    scheme, separator, origin_host = origin.lower().partition("://")
    return scheme in ("http", "https") and bool(separator) and origin_host == host.lower()


def content_security_policy(host: str) -> str:
    """Return the policy by which pages load from this server only.

    Viewing a document never fetches an address in it, and no other site can embed the app.
    """
    same_origin = "'self' data: blob:"
    return "; ".join(
        (
            "frame-ancestors 'self'",
            f"img-src {same_origin}",
            f"media-src {same_origin}",
            f"font-src {same_origin}",
            f"connect-src {same_origin} ws://{host} wss://{host}",  # some browsers do not count a WebSocket as 'self'
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
        )
    )


class RequestGuard:
    """ASGI middleware that refuses requests for unknown hosts and from pages of other origins."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.known = known_hosts()
        self.origins = frozenset(str(origin).strip().lower() for origin in st.get_option("server.corsAllowedOrigins"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        host, refusal = self._checked(scope)
        if not refusal:
            await self.app(scope, receive, _with_headers(scope, send, host))
        elif scope["type"] == "websocket":
            await receive()  # the connect event; closing before accepting answers with 403
            await send({"type": "websocket.close", "code": 1008, "reason": "This host or origin is not known."})
        else:
            status = 404 if _is_closed(scope) else 403
            await PlainTextResponse(refusal, status)(scope, receive, _with_headers(scope, send, ""))

    def _checked(self, scope: Scope) -> tuple[str, str]:
        """Return the `Host` of a request, and the reason of its refusal or ""."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        host = hosts[0] if len(hosts) == 1 else ""
        if not is_known(host_name(host), self.known, _arrived_at(scope)):
            return "", (
                f"Netloom does not accept requests for the host {host[:100]!r}. Open the address that it printed "
                "when it started. If the name belongs to this server, such as the name of a proxy, start Netloom with "
                f"{HOSTS}={host_name(host)}."
            )
        if scope["type"] == "websocket" or scope["method"] not in _READING:
            # A request without an origin is not from a browser, and has all rights of its user anyway.
            foreign = [
                value for value in origins if not is_same_origin(value, host) and value.lower() not in self.origins
            ]
            if foreign:
                return host, f"Netloom does not accept requests from pages of {foreign[0][:100]!r}."
        return host, "There is no such page." if _is_closed(scope) else ""


def middleware() -> list[Middleware]:
    """Return the middleware around Streamlit, outermost first."""
    return [
        Middleware(RequestGuard),
        Middleware(BrowserCookie),
        Middleware(UploadQuota),
        Middleware(CompressedFiles),
    ]


def _with_headers(scope: Scope, send: Send, host: str) -> Send:
    """Return a `send` that adds the security headers to responses."""
    if scope["type"] != "http":
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Content-Security-Policy", content_security_policy(host))
            headers.setdefault("X-Frame-Options", "SAMEORIGIN")
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Referrer-Policy", "same-origin")
        await send(message)

    return sending


def _is_closed(scope: Scope) -> bool:
    return bool(scope["path"].rstrip("/").endswith(CLOSED))


def _arrived_at(scope: Scope) -> str:
    server: Any = scope.get("server")
    return str(server[0]) if server else ""


def _address(text: str) -> Any:
    """Return the normalized IP address, IPv4 for mapped ones; None for a name."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
