"""The store: projects and their versions, runs, points and commands; a database and a folder of files."""

from __future__ import annotations

from pathlib import Path

from builder.store.database import Database, StoreError
from builder.store.home import database_url, home
from builder.store.projects import Conflict, ProjectRow, Projects, SavedProject, VersionRow
from builder.store.runs import Command, Point, Points, Run, Runs

__all__ = [
    "Command",
    "Conflict",
    "Point",
    "Points",
    "ProjectRow",
    "Run",
    "SavedProject",
    "Store",
    "StoreError",
    "VersionRow",
    "database_url",
    "home",
    "open_store",
]


class Store(Runs, Projects):
    """One data folder with its database. Several processes may have it open at once."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The data folder {folder} cannot be made: {error.strerror}.") from error
        self.db = Database(database_url(folder))

    def close(self) -> None:
        self.db.close()


def open_store(folder: Path | None = None) -> Store:
    """The store in `folder`, or in the data folder; its database is made or brought up to date.

    Raises:
        StoreError: the folder or the database cannot be used.
    """
    return Store((folder or home()).absolute())
