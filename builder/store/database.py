"""The connection: SQLite by default, any database that SQLAlchemy knows by its URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError

from builder.store.schema import HEAD

BUSY_MS = 10_000
_MIGRATION_LOCK = 0x6E65746C


class StoreError(RuntimeError):
    """The store cannot be used; the message is one sentence for people."""


class Database:
    """An engine whose transactions say from the start whether they will write."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._migrate()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with _sentences(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its first statement, so that what it read stays true."""
        with _sentences(), self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    def close(self) -> None:
        self.engine.dispose()

    def _migrate(self) -> None:
        with self.reading() as connection:
            found = self._version(connection)
        if found == HEAD:
            return
        with self.writing() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            found = self._version(connection)  # another process may have been faster
            if found == HEAD:
                return
            if found is not None and found > HEAD:
                raise StoreError(
                    f"This database was made by a newer Netloom (its version is {found}, this one knows {HEAD}); "
                    "please upgrade Netloom, or choose another data folder."
                )
            _upgrade(connection)

    def _version(self, connection: Connection) -> str | None:
        if not self.engine.dialect.has_table(connection, "alembic_version"):
            return None
        row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
        return str(row[0]) if row else None


def _engine(url: str) -> Engine:
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000})
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(url, pool_pre_ping=True)


def _configure_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _sentences() -> Iterator[None]:
    """The database's own errors as sentences."""
    try:
        yield
    except OperationalError as error:
        raise StoreError(f"The database cannot be used: {_first_line(error)}.") from error
    except DatabaseError as error:
        if "not a database" in str(error) or "malformed" in str(error):
            raise StoreError(
                "The database file is damaged; put a backup in its place, or choose another data folder."
            ) from error
        raise


def _first_line(error: OperationalError) -> str:
    return str(error.orig).strip().splitlines()[0] if error.orig else "unknown error"
