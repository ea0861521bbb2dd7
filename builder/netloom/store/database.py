"""The connection: SQLite by default, any database that SQLAlchemy knows by its URL."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from netloom.core.errors import UsageError
from netloom.core.settings import settings
from netloom.store.schema import HEAD, metadata, version

BUSY_MS = 10_000
_MIGRATION_LOCK = 0x6E65746C
# Fixes for errors of the database, by words of its message.
_HINTS = {
    "locked": "another program has locked it; try again in a moment",
    "readonly": "let this user write to it, or choose another data folder",
    "read-only": "let this user write to it, or choose another data folder",
    "is full": "free some space on its disk",
    "no such table": "it was emptied or replaced while Netloom ran; restart Netloom, which creates the tables",
    "unable to open": "check that its folder exists and that this user may write there",
}


class StoreError(RuntimeError):
    """The store is unusable; the message is one sentence for users."""


class NotFoundError(StoreError, UsageError):
    """The requested item is not in the store; it may have been deleted."""


def database_url(folder: Path) -> str | URL:
    """Return NETLOOM_DATABASE_URL, or the URL of a SQLite file in the data folder."""
    # Not a string, because ? and % in the name of the folder have a meaning in URLs.
    return settings.database_url or URL.create("sqlite", database=str(folder / "netloom.db"))


class Database:
    """An engine whose transactions declare at the start whether they write."""

    def __init__(self, url: str | URL) -> None:
        self.engine = _engine(url)
        # Shares the connections of the engine; options that are set once cost nothing for each transaction.
        self._writer = self.engine.execution_options(writes=True)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise
        _open.add(self)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._sentences(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Context of a transaction that writes.

        On SQLite, it holds the write lock from its first statement, so values that it has read remain valid. On other
        databases, only rows that were read `with_for_update()` are locked.
        """
        with self._sentences(), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()

    def _migrate(self) -> None:
        with self.reading() as connection:
            # Usually up to date, which needs no write lock
            if self._version(connection) == HEAD:
                return
        with self.writing() as connection:
            if not self.is_sqlite:
                # Excludes processes that create the tables at the same time; there is no row to lock yet
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            current = self._version(connection)  # another process can have created them meanwhile
            if current is None:
                _create(connection)
            elif current != HEAD:
                _upgrade(connection)

    def _version(self, connection: Connection) -> str | None:
        if not self.engine.dialect.has_table(connection, version.name):
            return None
        current: str | None = connection.execute(select(version.c.version_num)).scalar()
        # Revisions are numbers with leading zeros, so strings compare in their order
        if current is not None and current > HEAD:
            raise StoreError(
                f"The database {self._where} was created by a newer version of Netloom (schema {current}, this one "
                f"supports up to {HEAD}); upgrade Netloom, or choose another data folder."
            )
        return current

    @property
    def _where(self) -> str:
        return self.engine.url.database or "" if self.is_sqlite else self.engine.url.render_as_string()

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """Context that converts errors of the database into sentences; the cause has the details."""
        try:
            yield
        except IntegrityError as error:
            raise NotFoundError(
                "The project, run or sweep that this belongs to does not exist any more; it may have been deleted."
            ) from error
        except DBAPIError as error:
            raise StoreError(self._sentence(str(error.orig).strip())) from error
        except sqlite3.Error as error:
            raise StoreError(self._sentence(str(error))) from error
        except PoolTimeout as error:
            raise StoreError("The database is busy; try again in a few seconds.") from error
        except UnicodeEncodeError as error:
            raise StoreError(
                "This text contains half of a character (a lone surrogate), which cannot be stored; type it again."
            ) from error

    def _sentence(self, reason: str) -> str:
        if "not a database" in reason or "malformed" in reason:
            return (
                f"The database {self._where} is damaged; stop Netloom and put a backup in its place. Without one, move "
                "it away: Netloom then creates a new one, and offers to rebuild the list of runs from their folders."
            )
        line = (reason.splitlines() or ["unknown error"])[0].rstrip(".")
        hint = next((hint for words, hint in _HINTS.items() if words in line), "")
        return f"The database {self._where} cannot be used: {line}{'; ' if hint else ''}{hint}."


# A forked child must neither use nor close the connections of its parent
# (https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
_open: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[Any] = []


def _let_go_of_connections() -> None:
    for database in _open:
        _inherited.append(database.engine.pool)  # otherwise the garbage collector would close them
        database.engine.dispose(close=False)


if hasattr(os, "register_at_fork"):  # not available on Windows, which has no fork
    os.register_at_fork(after_in_child=_let_go_of_connections)


def _engine(url: str | URL) -> Engine:
    try:
        # A server may have closed an idle connection of the pool; a file does not
        engine = create_engine(url, pool_pre_ping=not str(url).startswith("sqlite"))
    except ArgumentError as error:
        raise StoreError(
            "NETLOOM_DATABASE_URL is not the address of a database; write it like postgresql+psycopg://user@host/netloom."
        ) from error
    except ImportError as error:
        raise StoreError(
            f"NETLOOM_DATABASE_URL needs the Python package {error.name}; install it, or use another driver."
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions start explicitly below, not in the driver
    # In WAL mode, NORMAL can lose the last transactions in a power failure, but does not damage the database
    # (https://www.sqlite.org/pragma.html#pragma_synchronous).
    for pragma in (f"busy_timeout={BUSY_MS}", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _write_ahead(connection)


def _write_ahead(connection: Any) -> None:
    """Switch to WAL mode. SQLite does not wait for the lock that this needs on a new file, so it is retried."""
    end = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # The low byte of an extended result code is the primary one
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.005)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    # A transaction that reads first and writes later fails with SQLITE_BUSY if another one wrote in between, without
    # waiting for `busy_timeout` (https://www.sqlite.org/lang_transaction.html).
    # By the driver itself: SQLAlchemy would take as long for this statement as for one with results.
    connection.connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN")


def _create(connection: Connection) -> None:
    """Create all tables at once in an empty database: this takes a third of the time of all migrations, and does not
    import Alembic."""
    metadata.create_all(connection, checkfirst=False)
    version.create(connection, checkfirst=True)
    connection.execute(insert(version).values(version_num=HEAD))


_upgrading = threading.Lock()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # Alembic reads the configuration like an .ini file, in which % has a meaning.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    with _upgrading:  # Alembic keeps its state in globals
        command.upgrade(config, "head")
