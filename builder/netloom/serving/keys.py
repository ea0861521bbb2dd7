"""API keys: who may use a server that others can reach.

A file in the data folder holds the SHA-256 of each key. A key has 256 random bits, so that a slow hash would not make
it safer. The server reads the file again when it changes, so that a revoked key stops working at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from netloom.core.errors import UsageError

PREFIX = "netloom_"
MAX_NAME = 64
_RELOAD_S = 0.5


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored. `hint` is its beginning, by which a person recognizes it."""

    name: str
    hash: str
    hint: str
    created: str
    revoked: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether it was not revoked."""
        return not self.revoked


class KeyRing:
    """The keys of a data folder."""

    def __init__(self, home: Path) -> None:
        self.path = home / "serving" / "keys.json"
        self._valid: dict[str, ApiKey] = {}
        self._read_at, self._stamp = 0.0, (0, 0)

    def add(self, name: str) -> str:
        """Create a key and return it; it cannot be read again later.

        Raises:
            UsageError: there is a valid key of this name, or it is not a name.
        """
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise UsageError(
                f"The name of a key must have 1 to {MAX_NAME} printable characters; received {name[:80]!r}."
            )
        token = PREFIX + secrets.token_urlsafe(32)
        with self._locked():
            keys = self.entries()
            if any(key.name == name and key.is_valid for key in keys):
                raise UsageError(f"There is a key {name!r} already; revoke it first, or choose another name.")
            self._write([*keys, ApiKey(name, _hash(token), token[: len(PREFIX) + 4], _now())])
        return token

    def revoke(self, name: str) -> ApiKey:
        """Revoke the valid key of this name.

        Raises:
            UsageError: there is none.
        """
        with self._locked():
            keys = self.entries()
            revoked_key = next((key for key in keys if key.name == name and key.is_valid), None)
            if revoked_key is None:
                names = ", ".join(repr(key.name) for key in keys if key.is_valid) or "none"
                raise UsageError(f"There is no valid key {name[:80]!r}; the valid keys are: {names}.")
            revoked = replace(revoked_key, revoked=_now())
            self._write([revoked if key is revoked_key else key for key in keys])
        return revoked

    def entries(self) -> list[ApiKey]:
        """Return all keys, in the order of their creation."""
        try:
            return [ApiKey(**entry) for entry in json.loads(self.path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError):
            raise UsageError(f"The file of the keys, {self.path}, is damaged; delete it and create new keys.") from None

    def owner(self, token: str) -> str | None:
        """Return the name of the valid key that a client sent; None if there is no such key."""
        self._refresh()
        # The hash is looked up, so that the time of the comparison tells nothing about the key.
        key = self._valid.get(_hash(token))
        return key.name if key is not None else None

    def _refresh(self) -> None:
        time_s = time.monotonic()
        if self._read_at and time_s - self._read_at < _RELOAD_S:
            return
        self._read_at = time_s
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            self._valid, self._stamp = {}, (0, 0)
            return
        if stamp != self._stamp:
            self._valid = {key.hash: key for key in self.entries() if key.is_valid}
            self._stamp = stamp

    def _locked(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_suffix(".lock"))

    def _write(self, keys: list[ApiKey]) -> None:
        """Replace the file as a whole; only the user can read it."""
        temporary = self.path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump([asdict(key) for key in keys], file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
