"""Stores for the tests that run on every database: SQLite, and PostgreSQL where it is available."""

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
    """The URL of a server that is shared by all tests of this process."""
    try:
        with postgres.server() as url:
            yield url
    except postgres.NoServerError as error:
        pytest.skip(f"PostgreSQL: {error}")


@pytest.fixture(scope="session")
def postgres_tables(postgres_server: str) -> Iterator[str]:
    """The URL of a database with all tables, emptied after each test: creating a new one is several times slower."""
    with postgres.database(postgres_server) as url:
        Database(url).close()
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables, copied for each test."""
    path = tmp_path_factory.mktemp("sqlite") / "netloom.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, home: Path) -> Path:
    """A data folder with an empty database."""
    return home if request.param == "sqlite" else request.getfixturevalue("postgres_place")


@pytest.fixture(scope="session")
def postgres_bare(postgres_server: str) -> Iterator[str]:
    """The URL of a database without tables, cleared after each test."""
    with postgres.database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres_place(postgres_bare: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder with an empty database on PostgreSQL."""
    monkeypatch.setenv("NETLOOM_DATABASE_URL", postgres_bare)
    yield home
    postgres.clear(postgres_bare)


@pytest.fixture
def postgres_store(postgres_tables: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty store on PostgreSQL."""
    monkeypatch.setenv("NETLOOM_DATABASE_URL", postgres_tables)
    store = open_store(home)
    yield store
    store.close()
    postgres.empty(postgres_tables)


@pytest.fixture
def sqlite_store(sqlite_template: Path, home: Path) -> Iterator[Store]:
    """An empty store on SQLite."""
    shutil.copy(sqlite_template, home / "netloom.db")
    store = open_store(home)
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store, on each database in turn."""
    opened: Store = request.getfixturevalue("sqlite_store" if request.param == "sqlite" else "postgres_store")
    return opened


@pytest.fixture
def project() -> Project:
    return blank("Digits")


@pytest.fixture
def project_id(store: Store, project: Project) -> str:
    return store.create_project(project)


@pytest.fixture
def run(store: Store, project: Project, project_id: str) -> Run:
    return store.create_run(project_id, project)
