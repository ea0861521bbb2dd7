"""Writes the log of requests to a model: what it was asked, what it answered, and labels that arrive later."""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic_core import to_json

from netloom.core import log
from netloom.core.errors import UsageError
from netloom.document import write_bytes
from netloom.monitoring.log_files import (
    HEAD,
    KEY,
    LOCK,
    RUNS,
    SUFFIX,
    as_json,
    line_of,
    lines_backwards,
    log_folder,
    log_of,
    segments,
)
from netloom.monitoring.redaction import Redaction
from netloom.tasks.answers import MONITORED, confidence_of

MIB, DAY_S = 2**20, 86_400.0
_SEGMENTS = 8  # that the size is divided into; the oldest one is deleted as a whole
_MAX_REMEMBERED = 200_000  # requests whose labels are accepted
_MAX_LABELS = 10  # of a row, so that labels cannot displace rows without limit
_MAX_PREDICTION = 10_000  # bytes; a larger one, such as a generated image, is not logged


@dataclass(frozen=True)
class LogSettings:
    """How much is logged, and for how long.

    Args:
        share: the share of requests, above 0 up to 1, chosen by chance.
        days: lines are deleted at most this many days after they were written.
        max_bytes: the size of the log of a model; then the oldest lines are deleted.
    """

    share: float = 1.0
    days: float = 30.0
    max_bytes: int = 256 * MIB
    redaction: Redaction = field(default_factory=Redaction)


_CLOSED = -1


class RequestLog:
    """Writes the log of one model. Threads may share it; another process may not.

    Attributes:
        lost: the number of rows that could not be written, because the disk is full or a value is not JSON.
    """

    def __init__(self, home: Path, model: str, settings: LogSettings) -> None:
        """Open the log.

        Raises:
            UsageError: another server writes it.
        """
        self.settings, self.lost, self._home = settings, 0, home
        self._folder = log_folder(home, model)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._process_lock = FileLock(self._folder / LOCK, timeout=0)
        try:
            self._process_lock.acquire()
        except Timeout:
            raise UsageError(
                f"Another server logs the requests to the model {model!r} already; choose another --name."
            ) from None
        self._lock = threading.Lock()  # of what follows
        self._key = self._read_key()
        self._runs = set(info.runs) if (info := log_of(home, model)) else set()
        self._requests = _remembered(self._folder)  # rows and labels by the id of the request
        self._segment_bytes = settings.max_bytes // _SEGMENTS
        self._segment_s = min(DAY_S, settings.days * DAY_S / 10)
        self._file = _CLOSED
        self._open()
        self.expire()

    def samples(self) -> bool:
        """Return whether the next request is logged, by chance."""
        return random.random() < self.settings.share

    def encode(
        self, fields: Collection[str], rows: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]
    ) -> tuple[bytes, ...]:
        """Return for each row what is logged of it: the fields that the model reads, and no other keys. An answer can
        have its monitored values, by `MONITORED`."""
        return tuple(self._encoded(fields, row, answer) for row, answer in zip(rows, answers, strict=True))

    def write(
        self,
        request_id: str,
        run: str,
        version: str,
        ms: float,
        bodies: Sequence[bytes],
        weights: str = "",
        calibration: str = "",
    ) -> None:
        """Append the rows of a request, from `encode`, with the checksums of the weights and of the calibration. An
        error is counted, and does not reach the client."""
        head = {
            "id": request_id,
            "row": 0,
            "of": len(bodies),
            "run": run,
            "weights": weights,
            "calibration": calibration,
            "version": version,
            "ms": round(ms, 3),
        }
        lines = [line_of("row", {**head, "row": number}, body) for number, body in enumerate(bodies, 1)]
        with self._lock:
            try:
                self._note_run(run)
                self._append(b"".join(lines))
            except OSError as error:
                self.count_lost(len(bodies), error)
                return
            self._requests[request_id] = [len(bodies), 0]
            while len(self._requests) > _MAX_REMEMBERED:
                self._requests.popitem(last=False)

    def count_lost(self, rows: int, error: Exception) -> None:
        """Count rows that could not be logged; the first time, the error is logged."""
        if not self.lost:
            log.write_if_possible(
                self._home / log.ERRORS, "request log", folder=str(self._folder), error=str(error)[:500]
            )
        self.lost += rows

    def rows_of(self, request_id: str) -> int:
        """Return the number of rows of a logged request; 0 if it is not known."""
        with self._lock:
            return self._requests.get(request_id, (0, 0))[0]

    def add_label(self, request_id: str, row: int, label: Any) -> bool:
        """Append the label of a row of a logged request; the last one counts. Returns whether there was room for it.

        Raises:
            OSError: it cannot be written.
        """
        with self._lock:
            request = self._requests[request_id]
            if request[1] >= _MAX_LABELS * request[0]:
                return False
            self._append(line_of("label", {"id": request_id, "row": row}, to_json({"label": label})))
            request[1] += 1
            return True

    def expire(self) -> None:
        """Delete segments that began before the retention period, and the oldest ones beyond the size."""
        with self._lock:
            oldest = time.time() - self.settings.days * DAY_S
            if self._began < oldest and self._size:
                self._reopen()
            self._delete(oldest)

    def close(self) -> None:
        with self._lock:
            os.close(self._file)
            self._file = _CLOSED  # its number can become that of a connection
            self._process_lock.release()

    def _encoded(self, fields: Collection[str], row: Mapping[str, Any], answer: Mapping[str, Any]) -> bytes:
        known = {name: value for name, value in row.items() if name in fields}
        prediction = as_json(answer.get("prediction"))
        value = as_json(
            {
                "input": self.settings.redaction.apply(known, self._key, as_json),
                "redacted": sorted(self.settings.redaction.names),
                "confidence": confidence_of(answer),
                MONITORED: answer.get(MONITORED),
            }
        )
        return value[:-1] + b',"prediction":' + (prediction if len(prediction) <= _MAX_PREDICTION else b"null") + b"}"

    def _append(self, content: bytes) -> None:
        if self._size and (
            self._size + len(content) > self._segment_bytes or time.time() - self._began > self._segment_s
        ):
            self._reopen()
            self._delete(time.time() - self.settings.days * DAY_S)
        remaining = memoryview(content)
        try:
            while remaining:  # one call, unless the disk is nearly full
                remaining = remaining[os.write(self._file, remaining) :]
        except OSError:
            os.ftruncate(self._file, self._size)  # without a part of a line, to which the next one would be appended
            raise
        self._size += len(content)

    def _open(self) -> None:
        began = time.time()
        name = int(began * 1e9)
        while (path := self._folder / f"{name:020d}{SUFFIX}").exists():
            name += 1
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._path, self._began, self._size = path, began, 0

    def _reopen(self) -> None:
        old = self._file
        self._open()  # first: if it fails, the log still has a file of its own
        os.close(old)

    def _delete(self, oldest: float) -> None:
        """Delete segments other than the current one: older ones, empty ones, and those beyond the size."""
        free_bytes = self.settings.max_bytes - self._segment_bytes  # which the current one may still grow to
        for path in reversed(segments(self._folder)):
            if path == self._path:
                continue
            size = path.stat().st_size
            free_bytes -= size
            if free_bytes < 0 or not size or int(path.stem) / 1e9 < oldest:
                path.unlink(missing_ok=True)

    def _note_run(self, run: str) -> None:
        if run in self._runs:
            return
        known = log_of(self._home, self._folder.name)
        runs = [*(known.runs if known is not None else ()), run]
        write_bytes(self._folder / RUNS, to_json(runs))
        self._runs.add(run)

    def _read_key(self) -> bytes:
        """Return the key of hashed values, which stays the same over restarts."""
        path = self._folder / KEY
        try:
            return path.read_bytes()
        except FileNotFoundError:
            key = secrets.token_bytes(32)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(key)
            return key


def _remembered(folder: Path) -> OrderedDict[str, list[int]]:
    """Return the number of rows and labels of the logged requests by their ids, the oldest first."""
    newest: OrderedDict[str, list[int]] = OrderedDict()
    labels: dict[str, int] = {}
    for head in filter(None, map(HEAD.match, lines_backwards(folder))):
        name = head[2].decode()
        if head[1] == b"label":
            labels[name] = labels.get(name, 0) + 1
        elif name not in newest:
            if len(newest) >= _MAX_REMEMBERED:
                break
            newest[name] = [int(head[4] or 1), labels.pop(name, 0)]
    return OrderedDict(reversed(newest.items()))
