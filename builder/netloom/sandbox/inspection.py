"""Inspection of uploaded files. A confined process opens them, never this one."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import uuid
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.core.errors import DataError, UsageError
from netloom.core.progress import ProgressCallback
from netloom.data.schema import DatasetInfo
from netloom.data.uploads import Reader, readers, title_for
from netloom.data.uploads.upload_kind import Question
from netloom.sandbox import serialization
from netloom.sandbox.process import EndedError, Process, RefusedError

if TYPE_CHECKING:
    import pandas as pd

# The limit of processes that wait with a file in memory; beyond it, the least recently used one ends.
OPEN_AT_ONCE = 6
# An unused process ends after this time. The next request starts another one.
IDLE_S = 600.0
STAGING = ".adding-"
STALE_S = 86_400.0

_open: list[weakref.ref[FileInspection]] = []
_lock = threading.Lock()


@dataclass(frozen=True)
class Description:
    """The description of an upload as one kind of data.

    `answers` answer its `questions`, `learned` says in a sentence what a network learns from it, `notes` are remarks,
    and `columns` those of its preview.
    """

    answers: dict[str, Any]
    questions: list[Question]
    learned: str
    notes: list[str]
    columns: list[dict[str, Any]]

    def preview(self) -> pd.DataFrame:
        """Return the first rows."""
        return serialization.table_of(self.columns)


class FileInspection:
    """An upload before it is added: the bytes of files by name, or a file or folder on this machine.

    A process that has ended is started again with the next request.

    Raises:
        DataError: the files cannot be read; raised by every method, too.
    """

    def __init__(self, content: Mapping[str, bytes] | Path, filename: str) -> None:
        self._content = content
        self._asked_for = filename
        self.bytes = _bytes(content)
        self._process: Process | None = None
        self._refusal = ""
        self._busy = threading.RLock()
        self._kinds: list[str] | None = None
        self._idle: threading.Timer | None = None
        self.filename = filename
        with self._busy:
            self._running()

    @property
    def process(self) -> Process | None:
        """The process that has the files open; None after it was closed, until the next request."""
        return self._process

    def kinds(self) -> list[Reader]:
        """Return the kinds of data that the files can be, the most likely one first."""
        if self._kinds is None:
            self._kinds = [str(name) for name in self._ask({"do": "kinds"})]
        return [readers()[name] for name in self._kinds]

    def reader(self, kind: str = "", target: str | None = None) -> Reader:
        """Return the kind of this name, or else the most likely one."""
        return readers()[self._ask({"do": "reader", "kind": kind, "target": target})]

    def questions(self, reader: Reader, answers: Mapping[str, Any]) -> list[Question]:
        """Return the questions of a kind of data about the files, given earlier answers."""
        return list(
            map(serialization.question, self._ask({"do": "questions", "kind": reader.name, "given": dict(answers)}))
        )

    def described(self, reader: Reader, answers: Mapping[str, Any], *, preview: bool = True) -> Description:
        """Return the description of the files as a kind of data; without `preview`, it has no columns."""
        request = {"do": "describe", "kind": reader.name, "given": dict(answers), "preview": preview}
        description = self._ask(request)
        questions = list(map(serialization.question, description["questions"]))
        return Description(
            description["answers"], questions, description["learned"], description["notes"], description["preview"]
        )

    def add(
        self,
        home: Path,
        *,
        name: str = "",
        target: str | None = None,
        kind: str = "",
        options: Mapping[str, Any] | None = None,
        progress: ProgressCallback | None = None,
    ) -> DatasetInfo:
        """Save the files as a dataset in the data folder `home`."""
        (home / "data").mkdir(parents=True, exist_ok=True)
        _forget_stale(home / "data")
        staging = home / "data" / f"{STAGING}{uuid.uuid4()}"
        staging.mkdir()
        title = title_for(self.filename, name, home)
        request = {"do": "add", "home": str(staging), "name": title, "target": target, "kind": kind}
        try:
            # Only a valid id can be part of a path: the answer is not trusted.
            info = serialization.info(self._ask({**request, "options": dict(options or {})}, progress))
            os.replace(staging / "data" / str(uuid.UUID(info.name)), home / "data" / info.name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return info

    def close(self) -> None:
        """End the process. The next request starts another one."""
        with self._busy:
            if self._process is not None:
                self._process.close()
                self._process = None
            if self._idle is not None:
                self._idle.cancel()

    def _ask(self, request: Mapping[str, Any], progress: ProgressCallback | None = None) -> Any:
        with self._busy:
            process = self._running()
            _mark_used(self)
            try:
                return self._answer(process, request, (), progress)
            finally:
                self._end_later()

    def _end_later(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = threading.Timer(IDLE_S, _close, (weakref.ref(self),))
        self._idle.daemon = True
        self._idle.start()

    def _running(self) -> Process:
        """Return the process, with the files open in it."""
        if self._refusal:
            raise DataError(self._refusal)
        if self._process is None or not self._process.alive:
            self._process = Process(self.bytes)
            path = str(self._content.absolute()) if isinstance(self._content, Path) else ""
            files = {} if isinstance(self._content, Path) else self._content
            request = {"do": "open", "path": path, "names": list(files), "filename": self._asked_for}
            self.filename = str(self._answer(self._process, request, tuple(files.values()))["filename"])
        return self._process

    def _answer(
        self,
        process: Process,
        request: Mapping[str, Any],
        blobs: tuple[bytes, ...],
        progress: ProgressCallback | None = None,
    ) -> Any:
        try:
            return process.ask(request, blobs, progress)
        except RefusedError as error:
            raise (UsageError if error.kind == "UsageError" else DataError)(str(error)) from None
        except EndedError as error:
            # Remembered, because another attempt would take as much memory or time.
            self._refusal = f"{self._asked_for[:100]!r} cannot be read: {error}; use a part of it."
            raise DataError(self._refusal) from None


def _bytes(content: Mapping[str, bytes] | Path) -> int:
    """Return the total size of files in bytes."""
    if not isinstance(content, Path):
        return sum(map(len, content.values()))
    paths = (Path(directory) / name for directory, _, names in os.walk(content) for name in names)
    total = 0
    for path in paths if content.is_dir() else (content,):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def _mark_used(inspection: FileInspection) -> None:
    """Mark an inspection as the most recently used one, and end the processes of the oldest if there are too many."""
    with _lock:
        other_references = [
            known for known in _open if (referent := known()) is not None and referent is not inspection
        ]
        _open[:] = [*other_references, weakref.ref(inspection)]
        surplus = other_references[: max(0, len(other_references) + 1 - OPEN_AT_ONCE)]
    for reference in surplus:  # outside the lock, as ending a process takes a while
        _close(reference)


def _close(reference: weakref.ref[FileInspection]) -> None:
    """End the process of an inspection, unless it is answering a request."""
    inspection = reference()
    if inspection is not None and inspection._busy.acquire(blocking=False):
        try:
            inspection.close()
        finally:
            inspection._busy.release()


def _forget_stale(folder: Path) -> None:
    """Remove staging folders that a process left behind."""
    for path in folder.glob(f"{STAGING}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_S:
                shutil.rmtree(path, ignore_errors=True)
