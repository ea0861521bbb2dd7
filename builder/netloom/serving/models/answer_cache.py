"""A cache of answers with a limit in bytes; the least recently used answers leave first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

_ENTRY_BYTES = 300  # what an entry takes beside its content, roughly


@dataclass(frozen=True)
class CachedAnswer:
    """The body of an answer, and what the request log takes of each row; nothing without a log."""

    body: bytes
    logged: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """The size in bytes, with what an entry takes beside its content."""
        return len(self.body) + sum(map(len, self.logged)) + _ENTRY_BYTES


class AnswerCache:
    """Bodies of answers by what was asked. Only the event loop uses it."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.size = max_bytes, 0
        self._entries: OrderedDict[bytes, CachedAnswer] = OrderedDict()

    def key(self, version: str, route: str, content_type: str, body: bytes) -> bytes:
        """Return the key of a request."""
        head = f"{version}\n{route}\n{content_type}\n".encode(errors="surrogateescape")
        return blake2b(head + body, digest_size=24).digest()

    def get(self, key: bytes) -> CachedAnswer | None:
        """Return an answer, or None."""
        answer = self._entries.get(key)
        if answer is not None:
            self._entries.move_to_end(key)
        return answer

    def put(self, key: bytes, answer: CachedAnswer) -> None:
        """Keep an answer; one that is larger than the cache is not kept."""
        if answer.size > self.max_bytes or key in self._entries:
            return
        self._entries[key] = answer
        self.size += answer.size
        while self.size > self.max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.size -= oldest.size
