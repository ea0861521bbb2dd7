"""Compression of the scripts and styles of the pages: once per file, and not once per request.

Streamlit sends its scripts uncompressed, because its own middleware would compress them anew for each browser. They
never change while the server runs, so the compressed bytes are kept: 3 MB for all pages of the app.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import PurePosixPath

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netloom.ui.components.streamlit_internals import COMPONENT_FILES, STATIC_FILES

SUFFIXES = frozenset({".css", ".js", ".json", ".svg"})
# A smaller file fits into one packet anyway.
SMALLEST = 1_000
# Level 9 takes twice the time of level 6 and saves 1% of Plotly.
LEVEL = 6


class CompressedFiles:
    """ASGI middleware that sends scripts and styles compressed to browsers that accept gzip."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        # By the digest of a file, because one file can be requested by many spellings of its path
        self._files: dict[bytes, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_script(scope):
            await self.app(scope, receive, send)
            return
        if not _accepts_gzip(scope):
            await self.app(scope, receive, _varying(send))
            return
        start: Message = {}
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._finish(start, b"".join(parts), send)

        await self.app(scope, receive, collect)

    async def _finish(self, start: Message, body: bytes, send: Send) -> None:
        """Send a whole response, compressed unless it is small."""
        headers = MutableHeaders(scope=start)
        headers.add_vary_header("Accept-Encoding")
        etag = headers.get("etag", "")
        if start["status"] == 200 and len(body) >= SMALLEST and "content-encoding" not in headers:
            body = await to_thread.run_sync(self._compressed, body)
            headers["Content-Encoding"] = "gzip"
            headers["Content-Length"] = str(len(body))
            if etag:
                # Equal after decoding, not byte for byte (RFC 9110, 8.8.1)
                headers["ETag"] = f"W/{etag.removeprefix('W/')}"
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _compressed(self, body: bytes) -> bytes:
        digest = hashlib.blake2b(body).digest()
        if digest not in self._files:
            self._files[digest] = gzip.compress(body, LEVEL, mtime=0)
        return self._files[digest]


def _is_script(scope: Scope) -> bool:
    """Return whether a request reads a whole script, style or the like of Streamlit or of a component."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path = scope["path"]
    is_static = STATIC_FILES in path or COMPONENT_FILES in path
    return is_static and PurePosixPath(path).suffix in SUFFIXES and "range" not in Headers(scope=scope)


def _accepts_gzip(scope: Scope) -> bool:
    accepted = Headers(scope=scope).get("accept-encoding", "")
    codings = [part.partition(";") for part in accepted.lower().split(",")]
    return any(name.strip() == "gzip" and weight.strip() not in ("q=0", "q=0.0") for name, _, weight in codings)


def _varying(send: Send) -> Send:
    """Return a `send` by which shared caches keep the two forms of a file apart."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).add_vary_header("Accept-Encoding")
        await send(message)

    return sending
