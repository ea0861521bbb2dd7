"""The quota of uploaded files, which the server holds in memory until they are added.

Streamlit limits the size of each file, but neither their number per session nor how long they stay after it ended.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import streamlit as st
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from netloom.core.memory import memory
from netloom.core.settings import settings
from netloom.ui.components.streamlit_internals import UPLOAD, release_uploads, uploaded_bytes

SHARE = 0.25


def quota_bytes() -> int:
    """Return the limit in bytes per session, NETLOOM_UPLOAD_QUOTA_MB."""
    return int(settings.upload_quota_mb * 2**20)


def total_bytes() -> int:
    """Return the limit in bytes of all sessions, NETLOOM_UPLOAD_TOTAL_MB."""
    if settings.upload_total_mb:
        return int(settings.upload_total_mb * 2**20)
    return max(2 * quota_bytes(), int(SHARE * memory()))


class UploadQuota:
    """ASGI middleware that refuses files beyond the limit of a session or of all sessions."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.quota, self.total = quota_bytes(), total_bytes()
        self._arriving: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            try:
                await self.app(scope, receive, send)
            finally:
                # A session can be resumed until then, and needs its files.
                wait = float(st.get_option("server.disconnectedSessionTTL"))
                asyncio.get_running_loop().call_later(wait, release_uploads)
            return
        upload = UPLOAD.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "PUT" else None
        if upload is None:
            await self.app(scope, receive, send)
            return
        session, size = upload["session"], _length(scope)
        if size is None:
            await PlainTextResponse("An upload needs a Content-Length header.", 411)(scope, receive, send)
        elif size > self._free_bytes(session):
            message = (
                f"The files exceed {self.quota / 2**20:,.0f} MiB for this tab, or the limit for all tabs. "
                "Remove files, or close other tabs."
            )
            await PlainTextResponse(message, 413)(scope, receive, send)
        else:
            # Counted before Streamlit has stored them, or concurrent uploads could exceed the limit together
            self._arriving[session] += size
            try:
                await self.app(scope, receive, send)
            finally:
                self._arriving[session] -= size
                self._arriving += Counter()  # drops zero entries

    def _free_bytes(self, session: str) -> int:
        """Return the remaining bytes of a session."""
        used = uploaded_bytes()
        session_bytes = self.quota - used.get(session, 0) - self._arriving[session]
        return min(session_bytes, self.total - sum(used.values()) - self._arriving.total())


def _length(scope: Scope) -> int | None:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    try:
        return int(lengths[0]) if len(lengths) == 1 else None
    except ValueError:
        return None
