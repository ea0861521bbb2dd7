"""The store: a database of projects, versions, runs, points and commands, and a folder of files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sqlalchemy import delete, select

from netloom.core.data_folder import home
from netloom.store import schema
from netloom.store.artifact_files import DamagedArtifactError
from netloom.store.artifact_store import ArtifactStore
from netloom.store.artifacts import RunArtifacts
from netloom.store.collected import CollectedExample, CollectedExamples
from netloom.store.commands import Command, Commands
from netloom.store.curves import Curves, Point, Points
from netloom.store.database import Database, NotFoundError, StoreError, database_url
from netloom.store.host import current_host
from netloom.store.library import Library, LibraryRow, NameTakenError
from netloom.store.limits import Limits, QueueFullError
from netloom.store.local_artifacts import run_files
from netloom.store.projects import ProjectRow, Projects, SaveConflictError, SavedProject, VersionRow
from netloom.store.queue import Queue
from netloom.store.runs import Run, Runs
from netloom.store.states import ClaimLostError, States
from netloom.store.sweeps import Sweep, Sweeps, Trial

__all__ = [
    "ArtifactStore",
    "ClaimLostError",
    "CollectedExample",
    "CollectedExamples",
    "Command",
    "DamagedArtifactError",
    "LibraryRow",
    "Limits",
    "NameTakenError",
    "NotFoundError",
    "Point",
    "Points",
    "ProjectRow",
    "QueueFullError",
    "Run",
    "RunArtifacts",
    "SaveConflictError",
    "SavedProject",
    "Store",
    "StoreError",
    "Sweep",
    "Trial",
    "VersionRow",
    "current_host",
    "database_url",
    "open_store",
]


class Store(States, Runs, Curves, Commands, Queue, Sweeps, Projects, Library):
    """One data folder with its database. Several processes can have it open at once."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The data folder {folder} cannot be created: {error.strerror}.") from error
        self.artifact_store: ArtifactStore = run_files(folder)
        self.db = Database(database_url(folder))

    def delete_project(self, project_id: str) -> None:
        """Delete a project with its versions and runs. Does nothing if it does not exist."""
        mine = schema.runs.c.project_id == project_id
        # Rows before files, so that no run is listed or claimed whose files are gone
        with self.db.writing() as connection:
            run_ids = connection.execute(select(schema.runs.c.id).where(mine)).scalars().all()
            connection.execute(delete(schema.projects).where(schema.projects.c.id == project_id))
        for run_id in run_ids:
            self.artifacts(run_id).delete()
        with suppress(ValueError):  # an id that no project can have
            self.collected(project_id).delete_all()

    def collected(self, project_id: str) -> CollectedExamples:
        """Return the collected examples of a project."""
        return CollectedExamples(self.home, project_id)

    def close(self) -> None:
        self.db.close()


def open_store(folder: Path | None = None) -> Store:
    """Open the store in `folder`, or in the data folder; creates or migrates its database.

    Raises:
        StoreError: the folder or the database is unusable.
    """
    return Store((folder or home()).absolute())
