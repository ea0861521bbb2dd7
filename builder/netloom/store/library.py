"""The library: networks that users store for use in other projects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from netloom.document import DocumentError, Project, dumps, loads
from netloom.document.network_bundle import BundleError, extract
from netloom.store.database import Database, NotFoundError, StoreError
from netloom.store.schema import library, library_versions


class NameTakenError(StoreError):
    """The name is in use; nothing was overwritten."""


@dataclass(frozen=True)
class LibraryRow:
    """A network in the library. `number` counts its publications; `summary` is the description by its publisher."""

    name: str
    number: int
    summary: dict[str, Any]
    created_at: datetime
    updated_at: datetime


# The number of earlier versions of a network that are stored.
MAX_VERSIONS = 50


class Library:
    """The part of the store for the library. A bundle is a document whose main network is the stored one."""

    db: Database

    def publish(self, bundle: Project, summary: Mapping[str, Any], *, replace: bool = False) -> LibraryRow:
        """Store a bundle under the name of its main network. With `replace`, an existing one is moved to the `earlier`
        versions.

        Raises:
            NameTakenError: the name is in use, and `replace` is False.
        """
        published_at = datetime.now(UTC)
        values = {"document": dumps(bundle), "summary": json.dumps(dict(summary)), "updated_at": published_at}
        mine = library.c.name == bundle.main
        with _one_name(bundle.main), self.db.writing() as connection:
            published = connection.execute(select(library).where(mine).with_for_update()).first()
            if published is not None and not replace:
                raise NameTakenError(_NAME_TAKEN.format(bundle.main))
            if published is not None:
                _keep(connection, published)
                connection.execute(update(library).where(mine).values(**values, number=published.number + 1))
            else:
                connection.execute(
                    insert(library).values(**values, name=bundle.main, number=1, created_at=published_at)
                )
        return self.published(bundle.main)

    def library(self) -> list[LibraryRow]:
        """Return all networks in the library, by name."""
        with self.db.reading() as connection:
            return [_row(row) for row in connection.execute(select(*_LISTED).order_by(library.c.name))]

    def published(self, name: str) -> LibraryRow:
        """Return the description of a network in the library.

        Raises:
            NotFoundError: there is no network of this name.
        """
        with self.db.reading() as connection:
            row = connection.execute(select(*_LISTED).where(library.c.name == name)).first()
        if row is None:
            raise NotFoundError(_MISSING.format(name[:60]))
        return _row(row)

    def earlier(self, name: str) -> list[LibraryRow]:
        """Return the earlier versions of a network, newest first, with their time of publication."""
        past = library_versions.c
        listed = select(
            library.c.name, past.number, past.summary, past.created_at, past.created_at.label("updated_at")
        ).join_from(library, library_versions)
        with self.db.reading() as connection:
            rows = connection.execute(listed.where(library.c.name == name).order_by(past.number.desc()))
            return [_row(row) for row in rows]

    def bundle(self, name: str, number: int | None = None) -> Project:
        """Return a network in the library with its subnetworks, or its earlier version `number`.

        Raises:
            StoreError: there is no network of this name or number, or it is unreadable.
        """
        with self.db.reading() as connection:
            return _bundle(connection, name) if number is None else _earlier(connection, name, number)

    def restore_published(self, name: str, number: int) -> LibraryRow:
        """Publish an earlier version again, as the newest one.

        Raises:
            StoreError: there is no network of this name or number, or it is unreadable.
        """
        summary = next((row.summary for row in self.earlier(name) if row.number == number), {})
        return self.publish(self.bundle(name, number), summary, replace=True)

    def rename_published(self, name: str, to: str) -> None:
        """Rename a network in the library.

        Raises:
            NameTakenError: the new name is in use.
            StoreError: there is no network of this name, or the new name is invalid.
        """
        if name == to:
            return
        with _one_name(to), self.db.writing() as connection:
            bundle = _bundle(connection, name, lock=True)
            if connection.execute(select(library.c.id).where(library.c.name == to)).first():
                raise NameTakenError(_NAME_TAKEN.format(to))
            try:
                text = dumps(extract(bundle, bundle.main, to))
            except BundleError as error:
                raise StoreError(str(error)) from error
            connection.execute(update(library).where(library.c.name == name).values(name=to, document=text))

    def delete_published(self, name: str) -> bool:
        """Remove a network from the library; projects that use it keep their copy. Returns whether it existed."""
        with self.db.writing() as connection:
            return bool(connection.execute(delete(library).where(library.c.name == name)).rowcount)


_LISTED = (library.c.name, library.c.number, library.c.summary, library.c.created_at, library.c.updated_at)
_MISSING = "There is no network {!r} in the library; it may have been deleted."
_NO_VERSION = "There is no version {} of {} in the library; the last {} are kept."
_NAME_TAKEN = "There is a network {} in the library already; nothing was overwritten."


@contextmanager
def _one_name(name: str) -> Iterator[None]:
    """Context that reports a name that was taken between the check and the write, which the database refuses."""
    try:
        yield
    except NotFoundError as error:
        if isinstance(error.__cause__, IntegrityError):
            raise NameTakenError(_NAME_TAKEN.format(name)) from error
        raise


def _bundle(connection: Connection, name: str, *, lock: bool = False) -> Project:
    """Return a network in the library. With `lock`, nobody else can change it until the transaction ends."""
    query = select(library.c.document).where(library.c.name == name)
    text = connection.execute(query.with_for_update() if lock else query).scalar()
    if text is None:
        raise NotFoundError(_MISSING.format(name[:60]))
    try:
        return loads(text)
    except DocumentError as error:
        raise StoreError(f"The network {name} of the library cannot be read: {error}") from error


def _earlier(connection: Connection, name: str, number: int) -> Project:
    """Return an earlier version by the current name of the network, which can have been renamed since."""
    query = select(library_versions.c.document).join_from(library, library_versions)
    query_of_version = query.where(library.c.name == name, library_versions.c.number == number)
    text = connection.execute(query_of_version).scalar()
    if text is None:
        raise NotFoundError(_NO_VERSION.format(number, name[:60], MAX_VERSIONS))
    try:
        bundle = loads(text)
        return extract(bundle, bundle.main, name)
    except (DocumentError, BundleError) as error:
        raise StoreError(f"Version {number} of {name} cannot be read: {error}") from error


def _keep(connection: Connection, row: Any) -> None:
    """Move the row that is about to be replaced to the earlier versions, and remove the oldest ones."""
    values = {"number": row.number, "document": row.document, "summary": row.summary, "created_at": row.updated_at}
    connection.execute(insert(library_versions).values(library_id=row.id, **values))
    old = library_versions.c.number <= row.number - MAX_VERSIONS
    connection.execute(delete(library_versions).where(library_versions.c.library_id == row.id, old))


def _row(row: Any) -> LibraryRow:
    return LibraryRow(row.name, row.number, json.loads(row.summary), row.created_at, row.updated_at)
