"""Stores for the tests that ask the same of every database: SQLite, and PostgreSQL where it is at hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from netloom.document import Project, blank
from netloom.store import Run, Store, open_store
from netloom.store.database import Database
from tests.store import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server that serves all tests of this process."""
    try:
        with postgres.server() as url:
            yield url
    except postgres.NoServerError as error:
        pytest.skip(f"PostgreSQL: {error}")


@pytest.fixture(scope="session")
def postgres_tables(postgres_server: str) -> Iterator[str]:
    """The URL of a database with all tables, to be emptied after each test: a new one takes several times as long."""
    with postgres.database(postgres_server) as url:
        Database(url).close()
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "netloom.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, home: Path) -> Path:
    """A data folder whose database is empty."""
    return home if request.param == "sqlite" else request.getfixturevalue("postgres_place")


@pytest.fixture(scope="session")
def postgres_bare(postgres_server: str) -> Iterator[str]:
    """The URL of a database without tables, to be cleared after each test."""
    with postgres.database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres_place(postgres_bare: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder whose database is empty and on PostgreSQL."""
    monkeypatch.setenv("NETLOOM_DATABASE_URL", postgres_bare)
    yield home
    postgres.clear(postgres_bare)


@pytest.fixture
def postgres_store(postgres_tables: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store without a row on PostgreSQL."""
    monkeypatch.setenv("NETLOOM_DATABASE_URL", postgres_tables)
    store = open_store(home)
    yield store
    store.close()
    postgres.empty(postgres_tables)


@pytest.fixture
def sqlite_store(sqlite_template: Path, home: Path) -> Iterator[Store]:
    """A store without a row on SQLite."""
    shutil.copy(sqlite_template, home / "netloom.db")
    store = open_store(home)
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    """A store without a row, on each database in turn."""
    found: Store = request.getfixturevalue("sqlite_store" if request.param == "sqlite" else "postgres_store")
    return found


@pytest.fixture
def project() -> Project:
    return blank("Digits")


@pytest.fixture
def project_id(store: Store, project: Project) -> str:
    return store.create_project(project)


@pytest.fixture
def run(store: Store, project: Project, project_id: str) -> Run:
    return store.create_run(project_id, project)
