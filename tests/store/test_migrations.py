"""Migrations bring any database to what `builder.store.schema` says, whole or not at all."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

import builder.store
from builder.graph import blank
from builder.store import Store, StoreError, open_store, schema
from tests.store.processes import spawn

SCRIPTS = str(Path(builder.store.__file__).parent / "migrations")


def test_migrations_end_where_the_tables_are(store: Store) -> None:
    with store.db.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def test_the_way_down_is_clear_and_up_again(store: Store) -> None:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    with store.db.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    again = open_store(store.home)
    again.create_project(blank("Up again"))
    again.close()


def test_an_older_database_keeps_what_it_holds(store: Store, project_id: str) -> None:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    with store.db.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        assert not inspect(connection).has_table("library")
    newer = open_store(store.home)
    assert [row.id for row in newer.list_projects()] == [project_id]
    assert newer.library() == []
    with newer.db.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    newer.close()


def test_a_newer_database_is_refused_and_left_alone(store: Store, project_id: str) -> None:
    with store.db.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer Netloom \(its version is 9999, this one knows .*\); upgrade Netloom"):
        open_store(store.home)
    with store.db.reading() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    assert [row.id for row in store.list_projects()] == [project_id]


def test_a_migration_that_was_cut_off_starts_anew(place: Path) -> None:
    child = spawn("die_migrating", place)
    problems = child.communicate(timeout=60)[1]
    assert child.returncode == -signal.SIGKILL, problems
    store = open_store(place)
    store.create_project(blank("Whole"))
    with store.db.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    store.close()
