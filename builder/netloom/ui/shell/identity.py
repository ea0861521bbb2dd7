"""The owner of runs in the queue: users have no accounts, so a cookie identifies each browser.

The cookie grants no rights. A browser without its cookie is a new owner; where that matters, a proxy that authenticates
users can name them in the header NETLOOM_USER_HEADER.
"""

from __future__ import annotations

import hashlib
import re
import uuid

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netloom.core.settings import settings, variable
from netloom.core.text import plain
from netloom.ui.components.streamlit_internals import session_id

COOKIE, HEADER = "netloom_browser", variable("user_header")
YEAR_S = 365 * 24 * 3600
_MAX_OWNER = 64
_VALUE = re.compile(r"[0-9a-f]{32}")


def owner() -> str:
    """Return the owner of the current page: the user named by the proxy, or else the browser, or else the tab."""
    header = settings.user_header
    named = plain(st.context.headers.get(header) or "") if header else ""
    if named:
        # Long names are cut, and a hash of the whole name keeps them different.
        return f"user {named}" if len(named) <= _MAX_OWNER - 5 else f"user {named[:40]} {_short(named)}"
    cookie = str(st.context.cookies.get(COOKIE, ""))
    if _VALUE.fullmatch(cookie):
        return f"browser {_short(cookie)}"
    tab = session_id()
    return f"tab {_short(tab)}" if tab else ""


class BrowserCookie:
    """ASGI middleware that gives each new browser a cookie with its first page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, _with_cookie(scope, send) if _is_new(scope) else send)


def _is_new(scope: Scope) -> bool:
    """Return whether a request is for a page, from a browser without a valid cookie."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    owner_id = cookie_parser(headers.get(b"cookie", "")).get(COOKIE, "")
    return "text/html" in headers.get(b"accept", "") and not _VALUE.fullmatch(owner_id)


def _with_cookie(scope: Scope, send: Send) -> Send:
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    cookie = f"{COOKIE}={uuid.uuid4().hex}; Path=/; Max-Age={YEAR_S}; HttpOnly; SameSite=Lax{secure}"

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("Set-Cookie", cookie)
        await send(message)

    return sending


def _short(text: str) -> str:
    """Return a hash that identifies a text without revealing it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
