"""Logging of errors in loops that retry."""

from __future__ import annotations

import contextlib
from pathlib import Path

from netloom.core import log


class RepeatedErrors:
    """Logs each error once, because the same one recurs in each iteration until its cause is fixed."""

    def __init__(self, home: Path, source: str) -> None:
        self._home, self._where = home, source
        self._last = ""

    def log(self, error: Exception) -> None:
        """Log an error, unless it equals the previous one."""
        if repr(error) != self._last:
            self._last = repr(error)
            with contextlib.suppress(OSError):
                log.write(self._home / log.ERRORS, "error", where=self._where, problem=self._last)

    def clear(self) -> None:
        """Forget the last error after a successful iteration."""
        self._last = ""
