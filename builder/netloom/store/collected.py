"""Collected examples of a project: rows with labels that people corrected, kept for the next version of its data.

They are lines of JSON in a file of the project. Adding one appends a line; a change of others replaces the file.
"""

from __future__ import annotations

import json
import os
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from netloom.document import write_bytes
from netloom.store.database import StoreError

MAX_EXAMPLES = 10_000
MAX_BYTES = 4 * 2**20  # of one example


@dataclass(frozen=True)
class CollectedExample:
    """One row as plain JSON, with its label.

    Attributes:
        origin: where it comes from, in words.
        run: the run that predicted it, and `prediction` what it predicted; "" and None if none did.
        source: identifies the row where it comes from, so that it is collected once; "" if it has no identity.
    """

    id: str
    at: str
    row: Mapping[str, Any]
    label: Any
    origin: str
    run: str = ""
    prediction: Any = None
    source: str = ""


class CollectedExamples:
    """The collected examples of one project. Several processes may change them at once."""

    def __init__(self, home: Path, project_id: str) -> None:
        # A name is part of a path only as a UUID, so that it cannot point elsewhere
        self._path = home / "collected" / f"{uuid.UUID(project_id)}.jsonl"

    def all(self) -> list[CollectedExample]:
        """Return the examples, the newest last. Damaged lines are left out."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        examples = []
        for line in lines:
            try:
                examples.append(CollectedExample(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return examples

    def labeled(self) -> list[tuple[Mapping[str, Any], Any]]:
        """Return the rows with their labels, the newest last."""
        return [(example.row, example.label) for example in self.all()]

    def stamp(self) -> str:
        """Return a text that differs after each change; "" without examples."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return ""
        return f"{status.st_size}-{status.st_mtime_ns}"

    def add(
        self,
        row: Mapping[str, Any],
        label: Any,
        origin: str,
        *,
        run: str = "",
        prediction: Any = None,
        source: str = "",
    ) -> CollectedExample | None:
        """Add a row of plain JSON with its label; None if it was collected already, by its `source`.

        Raises:
            StoreError: there is no room for it.
        """
        added_at = datetime.now(UTC).isoformat(timespec="seconds")
        example = CollectedExample(secrets.token_hex(8), added_at, row, label, origin, run, prediction, source)
        line = json.dumps(asdict(example), allow_nan=False).encode() + b"\n"
        if len(line) > MAX_BYTES:
            raise StoreError(f"The example has {len(line):,} bytes; a collected example has at most {MAX_BYTES:,}.")
        with self._locked():
            examples = self.all()
            if source and any(earlier.source == source for earlier in examples):
                return None
            if len(examples) >= MAX_EXAMPLES:
                raise StoreError(
                    f"A project has at most {MAX_EXAMPLES:,} collected examples; make a dataset version, and delete "
                    "examples that it has."
                )
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, line)  # one call, so that a killed process leaves no part of a line
            finally:
                os.close(file)
        return example

    def relabel(self, example_id: str, label: Any) -> None:
        """Change the label of an example; nothing if it does not exist any more."""
        self._rewrite(lambda example: replace(example, label=label) if example.id == example_id else example)

    def delete(self, example_ids: set[str]) -> None:
        """Delete examples."""
        self._rewrite(lambda example: None if example.id in example_ids else example)

    def delete_all(self) -> None:
        """Delete all examples, with their file."""
        self._path.unlink(missing_ok=True)
        self._path.with_suffix(".lock").unlink(missing_ok=True)

    def _rewrite(self, change: Callable[[CollectedExample], CollectedExample | None]) -> None:
        with self._locked():
            changed = [example for example in map(change, self.all()) if example is not None]
            lines = [json.dumps(asdict(example)) + "\n" for example in changed]
            write_bytes(self._path, "".join(lines).encode())

    def _locked(self) -> FileLock:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(self._path.with_suffix(".lock"), timeout=10)
