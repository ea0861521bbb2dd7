"""The files of runs in folders of this machine, one per run, named by its id."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from netloom.document import write_bytes


@dataclass(frozen=True)
class LocalArtifactStore:
    """An `ArtifactStore` in the folder `root`."""

    root: Path

    @property
    def location(self) -> str:
        return str(self.root)

    def run_ids(self) -> list[str]:
        try:
            names = sorted(entry.name for entry in self.root.iterdir())
        except OSError:
            return []
        return [name for name in names if _is_id(name)]

    def create(self, run_id: str) -> None:
        self.local_directory(run_id).mkdir(parents=True, exist_ok=True)

    def delete(self, run_id: str, *, first: str) -> None:
        directory = self.local_directory(run_id)
        with contextlib.suppress(OSError):
            (directory / first).unlink(missing_ok=True)
        remove_folder(directory)

    def read(self, run_id: str, name: str) -> bytes:
        return (self.local_directory(run_id) / name).read_bytes()

    def write(self, run_id: str, name: str, content: bytes) -> None:
        # The folder of the run is not created here; otherwise a worker would restore a deleted run.
        write_bytes(self.local_directory(run_id) / name, content)

    def remove(self, run_id: str, name: str) -> None:
        (self.local_directory(run_id) / name).unlink(missing_ok=True)

    def stamp(self, run_id: str, name: str) -> tuple[int, int] | None:
        try:
            status = (self.local_directory(run_id) / name).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def local_directory(self, run_id: str) -> Path:
        return self.root / run_id


def run_files(home: Path) -> LocalArtifactStore:
    """Return the files of the runs of a data folder."""
    return LocalArtifactStore(home / "runs")


def remove_folder(folder: Path) -> None:
    """Remove a folder, even while another process writes to it."""
    # At most about a second
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.01)


def _is_id(name: str) -> bool:
    try:
        # `UUID` also accepts other spellings, such as braces or no hyphens
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
