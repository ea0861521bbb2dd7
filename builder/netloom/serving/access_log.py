"""The access log: a JSON object per line for each answered request.

A line reaches the operating system before its response is sent, so that killing the server loses no line of an answer
that a client has received. Only a crash of the machine can. JSON escapes line breaks, so that a request cannot forge a
line.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_json

MAX_BYTES = 64 * 2**20  # then the file is renamed, and the previous one of that name replaced
_CLOSED = -1


class AccessLog:
    """Appends lines to a file."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path, self.max_bytes = path, max_bytes
        self._file = _CLOSED
        self._is_cut = False  # whether the last line is incomplete
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def write(self, **values: Any) -> None:
        """Append a line with the time and these values.

        Raises:
            OSError: it cannot be written completely, because the disk is full.
        """
        if self._size > self.max_bytes or self._file == _CLOSED:
            self._rotate()
        line = to_json({"at": datetime.now(UTC).isoformat(), **values}, serialize_unknown=True) + b"\n"
        line = b"\n" + line if self._is_cut else line
        written = os.write(self._file, line)  # one call, so that lines of several processes do not mix
        self._size += written
        self._is_cut = written < len(line)
        if self._is_cut:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def close(self) -> None:
        if self._file != _CLOSED:
            os.close(self._file)
        self._file = _CLOSED  # its number can become that of a connection

    def _rotate(self) -> None:
        self.close()
        with suppress(OSError):  # then the file grows on
            if self._size > self.max_bytes:
                self.path.replace(self.path.with_suffix(self.path.suffix + ".1"))
        self._open()

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(self._file).st_size
