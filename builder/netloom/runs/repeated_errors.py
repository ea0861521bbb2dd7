"""Errors of a loop that tries again and again."""

from __future__ import annotations

import contextlib
from pathlib import Path

from netloom.core import log


class RepeatedErrors:
    """Logs each error once, as the same one comes back at every turn until somebody mends its cause."""

    def __init__(self, home: Path, source: str) -> None:
        self._home, self._where = home, source
        self._last = ""

    def log(self, error: Exception) -> None:
        """Write an error to the log of errors, unless it is the one before again."""
        if repr(error) != self._last:
            self._last = repr(error)
            with contextlib.suppress(OSError):
                log.write(self._home / log.ERRORS, "error", where=self._where, problem=self._last)

    def clear(self) -> None:
        """Forget the last error: the loop went well."""
        self._last = ""
