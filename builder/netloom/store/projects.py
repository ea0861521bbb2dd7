"""Projects and their versions."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import bindparam, exists, func, insert, select, update

from netloom.document import DocumentError, Project, checked, compact, loads
from netloom.document.files import MAX_BYTES
from netloom.store.database import Database, NotFoundError, StoreError
from netloom.store.history import IS_NEWEST, NEWEST_COLUMNS, Change, Saved, Version, append, record
from netloom.store.schema import projects, versions


def utc_now() -> datetime:
    """Return the timestamp for saved data."""
    return datetime.now(UTC)


# Built once, because every edit executes them and SQLAlchemy takes longer to build a statement than to run it.
_MINE = projects.c.id == bindparam("project")
_STORED = (
    select(projects.c.stamp, projects.c.document, projects.c.updated_at, *NEWEST_COLUMNS)
    .select_from(projects.outerjoin(versions, IS_NEWEST))
    .where(_MINE)
    .with_for_update(of=projects)
)
_CHANGED = ("name", "document", "epoch", "revision", "acks", "stamp", "updated_at")
_SAVE = update(projects).where(_MINE).values({name: bindparam(f"new_{name}") for name in _CHANGED})


class SaveConflictError(StoreError):
    """The project was saved by someone else since it was loaded; nothing was overwritten."""


@dataclass(frozen=True)
class ProjectRow:
    """A project in a list."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class SavedProject:
    """A saved project. Pass `stamp` to the next save."""

    id: str
    project: Project
    epoch: str
    revision: int
    acks: dict[str, int]
    stamp: int


@dataclass(frozen=True)
class VersionRow:
    """A version in a list; named versions are stored forever."""

    number: int
    name: str
    created_at: datetime


class Projects:
    """The part of the store for projects."""

    db: Database

    def create_project(self, project: Project, *, project_id: str | None = None) -> str:
        """Save a new project, with `project_id` under an earlier id. Returns its id.

        Raises:
            StoreError: it is too large to be opened again.
            NotFoundError: there is a project with this id already.
        """
        project_id = str(uuid.UUID(project_id)) if project_id else str(uuid.uuid4())
        created_at, text = utc_now(), _text(project)
        with self.db.writing() as connection:
            connection.execute(
                insert(projects).values(
                    id=project_id,
                    name=project.name,
                    document=text,
                    epoch=uuid.uuid4().hex,
                    revision=0,
                    acks="{}",
                    stamp=1,
                    created_at=created_at,
                    updated_at=created_at,
                )
            )
            append(connection, project_id, 1, text, created_at)
        return project_id

    def find_or_create_project(self, project: Project) -> str:
        """Return the id of the project with exactly this document, or of a new one, so that training a document again
        adds a run and not a project.

        Raises:
            StoreError: it is too large to be opened again.
        """
        for row in self.list_projects():
            if row.name == project.name and self.load(row.id).project == project:
                return row.id
        return self.create_project(project)

    def list_projects(self, limit: int = 500) -> list[ProjectRow]:
        """Return the projects, most recently changed first."""
        query = select(projects.c.id, projects.c.name, projects.c.created_at, projects.c.updated_at)
        with self.db.reading() as connection:
            rows = connection.execute(query.order_by(projects.c.updated_at.desc()).limit(limit))
            return [ProjectRow(*row) for row in rows]

    def has_project(self, project_id: str) -> bool:
        """Return whether there is such a project."""
        with self.db.reading() as connection:
            return bool(connection.execute(select(exists().where(projects.c.id == project_id))).scalar())

    def load(self, project_id: str) -> SavedProject:
        """Return a project with the state of its editor.

        Raises:
            StoreError: there is no such project, or it is unreadable.
        """
        with self.db.reading() as connection:
            row = connection.execute(select(projects).where(projects.c.id == project_id)).first()
        if row is None:
            raise NotFoundError("There is no such project; it may have been deleted.")
        return SavedProject(row.id, _document(row.document), row.epoch, row.revision, json.loads(row.acks), row.stamp)

    def save(
        self,
        project_id: str,
        project: Project,
        epoch: str,
        revision: int,
        acks: dict[str, int],
        stamp: int,
        change: Change = "edit",
        text: str | None = None,
    ) -> int:
        """Save the state of an editor and, if the document changed, possibly a version (see `netloom.store.history`).
        `text` is the compact text of the document, if it is known. Returns the new stamp.

        Raises:
            SaveConflictError: someone else saved since `stamp`; nothing was written.
            StoreError: there is no such project.
        """
        saved_at, text = utc_now(), compact(project) if text is None else text
        values: dict[str, object] = {"name": project.name, "document": text, "epoch": epoch, "revision": revision}
        with self.db.writing() as connection:
            stored = connection.execute(_STORED, {"project": project_id}).first()
            if stored is None:
                raise StoreError("This project was deleted in the meantime; save it under another name.")
            # A document that an earlier release stored above the limit may still become smaller
            if len(text) > MAX_BYTES and len(text) > len(stored.document):
                raise StoreError(f"This project would have more than {MAX_BYTES:,} bytes; remove some of its notes.")
            if stored.stamp != stamp:
                raise SaveConflictError(
                    "This project was changed in the meantime by another instance of Netloom; nothing was overwritten."
                )
            values |= {"acks": json.dumps(acks), "stamp": stamp + 1, "updated_at": saved_at}
            connection.execute(_SAVE, {"project": project_id, **{f"new_{key}": value for key, value in values.items()}})
            if stored.document != text:
                before = Saved(stored.document, stored.updated_at)
                record(connection, project_id, text, saved_at, change, before, Version.newest(stored))
        return stamp + 1

    def versions(self, project_id: str) -> list[VersionRow]:
        """Return the versions of a project, newest first."""
        query = select(versions.c.number, versions.c.name, versions.c.created_at)
        with self.db.reading() as connection:
            rows = connection.execute(
                query.where(versions.c.project_id == project_id).order_by(versions.c.number.desc())
            )
            return [VersionRow(*row) for row in rows]

    def version(self, project_id: str, number: int) -> Project:
        """Return the document of a version.

        Raises:
            StoreError: there is no such version, or it is unreadable.
        """
        query = select(versions.c.document)
        with self.db.reading() as connection:
            row = connection.execute(
                query.where(versions.c.project_id == project_id, versions.c.number == number)
            ).first()
        if row is None:
            raise StoreError(f"There is no version {number} of this project any more.")
        return _document(row.document)

    def restore_version(self, project_id: str, number: int) -> None:
        """Replace a document that cannot be opened by a version; the document becomes a version itself. For documents
        that can be opened, the editor replaces them, which Undo reverts.

        Raises:
            StoreError: there is no such version, or it is unreadable, too.
        """
        name, restored_at = self.version(project_id, number).name, utc_now()
        mine = versions.c.project_id == project_id
        with self.db.writing() as connection:
            stored = connection.execute(select(projects).where(projects.c.id == project_id).with_for_update()).one()
            text = connection.execute(select(versions.c.document).where(mine, versions.c.number == number)).scalar()
            last = connection.execute(select(func.max(versions.c.number)).where(mine)).scalar() or 0
            append(connection, project_id, last + 1, stored.document, restored_at, name="Could not be opened")
            connection.execute(
                update(projects)
                .where(projects.c.id == project_id)
                .values(
                    name=name,
                    document=text,
                    epoch=uuid.uuid4().hex,  # the state in open browsers belongs to another document
                    revision=stored.revision + 1,
                    acks="{}",
                    stamp=stored.stamp + 1,
                    updated_at=restored_at,
                )
            )

    def name_version(self, project_id: str, number: int, name: str) -> None:
        """Name a version, so that it is stored forever; an empty name removes the name."""
        with self.db.writing() as connection:
            changed = connection.execute(
                update(versions)
                .where(versions.c.project_id == project_id, versions.c.number == number)
                .values(name=name[:200])
            )
        if changed.rowcount == 0:
            raise StoreError(f"There is no version {number} of this project any more.")


def _text(project: Project) -> str:
    try:
        checked(project)
        return compact(project)
    except DocumentError as error:
        raise StoreError(f"This project cannot be saved: {error}") from error


def _document(text: str) -> Project:
    try:
        return loads(text, limit=None)  # earlier releases stored larger ones, which must be opened to become smaller
    except DocumentError as error:
        raise StoreError(f"The stored document of this project cannot be read: {error}") from error
