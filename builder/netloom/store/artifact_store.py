"""The contract of a store for the files of runs: `ArtifactStore`, which a folder or an object store implements."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol


class Stamp(NamedTuple):
    """A value that changes whenever a file is written."""

    modified_ns: int
    size: int


class ArtifactStore(Protocol):
    """The files of runs. A name is the path of a file below its run, with "/" between folders.

    Methods that read raise `FileNotFoundError` for a missing file, and `OSError` for an unreadable one.
    """

    @property
    def location(self) -> str:
        """The location of the files, for display."""
        ...

    def run_ids(self) -> list[str]:
        """Return the runs that have files, in alphabetical order."""
        ...

    def create(self, run_id: str) -> None:
        """Prepare storage for the files of a new run."""
        ...

    def delete(self, run_id: str, *, first: str) -> None:
        """Remove all files of a run, the file `first` before the others."""
        ...

    def read(self, run_id: str, name: str) -> bytes:
        """Return the content of a file."""
        ...

    def write(self, run_id: str, name: str, content: bytes) -> None:
        """Write a file atomically: a reader gets the old or the new content, never a mixture.

        Raises:
            OSError: it cannot be written, or the run was deleted.
        """
        ...

    def remove(self, run_id: str, name: str) -> None:
        """Remove a file if it exists."""
        ...

    def stamp(self, run_id: str, name: str) -> tuple[int, int] | None:
        """Return the modification time of a file in nanoseconds since 1970, and its size in bytes; None if it does not
        exist."""
        ...

    def local_directory(self, run_id: str) -> Path:
        """Return the files of a run as a folder of this machine."""
        ...
