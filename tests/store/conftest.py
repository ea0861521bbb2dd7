"""Stores for the tests that ask the same of every database: SQLite, and PostgreSQL where it is at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.graph import Project, blank
from builder.store import Run, Store, open_store
from tests.store import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    try:
        with postgres.server() as url:
            yield url
    except postgres.NoServerError as error:
        pytest.skip(f"PostgreSQL: {error}")


# Where there is no PostgreSQL, the tests that ask for it alone are skipped and say why.
DATABASES = ["sqlite"] if postgres.missing() else ["sqlite", "postgresql"]


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, home: Path) -> Any:
    """A data folder whose database is empty."""
    return home if request.param == "sqlite" else request.getfixturevalue("postgres_place")


@pytest.fixture
def postgres_place(postgres_server: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder whose database is empty and on PostgreSQL."""
    with postgres.database(postgres_server) as url:
        monkeypatch.setenv("NETLOOM_DATABASE_URL", url)
        yield home


@pytest.fixture
def postgres_store(postgres_place: Path) -> Iterator[Store]:
    store = open_store(postgres_place)
    yield store
    store.close()


@pytest.fixture
def store(place: Path) -> Iterator[Store]:
    store = open_store(place)
    yield store
    store.close()


@pytest.fixture
def project() -> Project:
    return blank("Digits")


@pytest.fixture
def project_id(store: Store, project: Project) -> str:
    return store.create_project(project)


@pytest.fixture
def run(store: Store, project: Project, project_id: str) -> Run:
    return store.create_run(project_id, project)
