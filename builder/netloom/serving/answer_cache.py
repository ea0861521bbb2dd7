"""A cache of answers with a limit in bytes; the least recently used answers leave first."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

_ENTRY_BYTES = 300  # what an entry takes beside its content, roughly


class AnswerCache:
    """Bodies of answers by what was asked. Only the event loop uses it."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.size = max_bytes, 0
        self._entries: OrderedDict[bytes, bytes] = OrderedDict()

    def key(self, version: str, route: str, content_type: str, body: bytes) -> bytes:
        """Return the key of a request."""
        head = f"{version}\n{route}\n{content_type}\n".encode(errors="surrogateescape")
        return blake2b(head + body, digest_size=24).digest()

    def get(self, key: bytes) -> bytes | None:
        """Return an answer, or None."""
        body = self._entries.get(key)
        if body is not None:
            self._entries.move_to_end(key)
        return body

    def put(self, key: bytes, body: bytes) -> None:
        """Keep an answer; one that is larger than the cache is not kept."""
        size = len(body) + _ENTRY_BYTES
        if size > self.max_bytes or key in self._entries:
            return
        self._entries[key] = body
        self.size += size
        while self.size > self.max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.size -= len(oldest) + _ENTRY_BYTES
