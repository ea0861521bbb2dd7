"""The files of one run by name: JSON and bytes that can be missing, and JSON that can be damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netloom.core.plain_json import JsonObject
from netloom.store.artifact_store import ArtifactStore, Stamp

# What to do about a file of a run that cannot be used
RESTORE = "Restore the file from a backup, or train the project in a new run."


class DamagedArtifactError(ValueError):
    """A file of a run is unreadable; `path` names it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"The file {path} is damaged.")
        self.path = path


@dataclass(frozen=True)
class ArtifactFiles:
    """The files of one run in a store. `RunArtifacts` lists them."""

    store: ArtifactStore
    run_id: str

    def path(self, name: str) -> Path:
        """Return the path of a file on this machine."""
        return self.store.local_directory(self.run_id) / name

    def stamp(self, name: str) -> Stamp | None:
        """Return the stamp of a file; None if it does not exist."""
        stamp = self.store.stamp(self.run_id, name)
        return Stamp(*stamp) if stamp else None

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: it does not exist.
            OSError: it is unreadable.
        """
        return self.store.read(self.run_id, name)

    def read_if_exists(self, name: str) -> bytes | None:
        """Return the content of a file; None if it does not exist.

        Raises:
            OSError: it is unreadable.
        """
        try:
            return self.read(name)
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically.

        Raises:
            OSError: it cannot be written, or the run was deleted.
        """
        self.store.write(self.run_id, name, content)

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        self.store.remove(self.run_id, name)

    def read_json(self, name: str) -> Any:
        """Return the value in a JSON file.

        Raises:
            OSError: it is missing or unreadable.
            ValueError: it is not JSON.
        """
        return json.loads(self.read(name))

    def read_object(self, name: str) -> JsonObject | None:
        """Return the object in a JSON file; None if there is no such file.

        Raises:
            DamagedArtifactError: it is unreadable, or not an object.
        """
        try:
            value = self.read_json(name)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise DamagedArtifactError(self.path(name)) from None
        if not isinstance(value, dict):
            raise DamagedArtifactError(self.path(name))
        return value

    def read_object_or_empty(self, name: str) -> JsonObject:
        """Return the object in a JSON file; empty if it is missing, unreadable or not an object."""
        try:
            return self.read_object(name) or {}
        except DamagedArtifactError:
            return {}

    def save_json(self, name: str, value: Mapping[str, Any], indent: int | None = None) -> None:
        """Write a value as a JSON file."""
        self.write(name, json.dumps(value, indent=indent).encode())
