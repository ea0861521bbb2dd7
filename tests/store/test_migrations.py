"""Migrations update any database to `netloom.store.schema`, completely or not at all."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, text

import netloom.store
from netloom.document import Project, blank, dumps
from netloom.store import Command, Store, StoreError, database_url, open_store, schema
from netloom.store.run_summary import BestResult, RunOrigin, RunSummary
from tests.store.processes import Child, die_migrating
from tests.store.states import put, sweep_plan

SCRIPTS = str(Path(netloom.store.__file__).parent / "migrations")


@pytest.fixture
def store(place: Path) -> Iterator[Store]:
    """A store on a separate database, whose tables may be changed."""
    opened = open_store(place)
    yield opened
    opened.close()


def table_definitions(connection: Connection) -> dict[str, list[str]]:
    """The definitions of all tables of a database."""
    inspector = inspect(connection)
    queries = (
        inspector.get_columns,
        inspector.get_foreign_keys,
        inspector.get_unique_constraints,
        inspector.get_indexes,
    )
    definitions = {
        name: sorted(repr(item) for look in queries for item in look(name)) for name in inspector.get_table_names()
    }
    definitions["keys"] = sorted(f"{name} {inspector.get_pk_constraint(name)}" for name in definitions)
    if connection.dialect.name == "sqlite":  # whose inspector does not report AUTOINCREMENT
        numbered = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"
        definitions["numbered once"] = [*connection.exec_driver_sql(numbered).scalars()]
    return definitions


def test_migrated_database_equals_a_new_one(store: Store) -> None:
    """A new database is created without migrations."""
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    with store.db.reading() as connection:
        new = table_definitions(connection)
    with store.db.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        command.upgrade(config, "head")
    with store.db.reading() as connection:
        assert table_definitions(connection) == new
        assert len(new["runs"]) > len(schema.runs.columns)
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []
        assert context.get_current_revision() == schema.HEAD
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_downgrade_to_base_and_upgrade_again(store: Store) -> None:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    with store.db.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    reopened = open_store(store.home)
    reopened.create_project(blank("Up again"))
    reopened.close()


def test_upgrade_keeps_existing_projects(store: Store, project_id: str) -> None:
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


def test_upgrade_keeps_runs_from_before_the_queue(store: Store, project: Project, project_id: str) -> None:
    run = store.create_run(project_id, project, "Old")
    put(store, run.id, "finished", summary={"best": {"loss": 1.0}})
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    with store.db.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        assert connection.execute(text("SELECT state FROM runs")).scalars().all() == ["finished"]
    newer = open_store(store.home)
    upgraded = newer.run(run.id)
    assert (upgraded.title, upgraded.state, upgraded.summary) == (
        "Old",
        "finished",
        RunSummary(best=BestResult(loss=1.0)),
    )
    assert (upgraded.owner, upgraded.device, upgraded.tags, upgraded.notes, upgraded.about) == (
        "",
        "auto",
        (),
        "",
        RunOrigin(),
    )
    newer.close()


# Rows of an older version of Netloom, in the columns of that version.
OLD_ROWS = """
INSERT INTO projects VALUES ('p', 'Café', '{document}', 'e', 3, '{{"tab": 2}}', 4, '{moment}', '{moment}');
INSERT INTO versions VALUES (7, 'p', 1, 'first', '{document}', '{moment}');
INSERT INTO runs VALUES ('r', 'p', 'Old', 'stopped', 'by hand', 12, 2, 40, 90, '{{"rate": 5}}', '{moment}',
    '{moment}', '{moment}', NULL);
INSERT INTO points VALUES (9, 'r', 40, 2, 'train', 'loss', 0.1, 1000.5);
INSERT INTO commands VALUES (3, 'r', 'learning_rate', 0.25, '{moment}')
"""
OLD_MOMENT = "2025-03-01 12:30:00.000000"
TABLES_OF_0002 = ["alembic_version", "commands", "library", "points", "projects", "runs", "versions"]


def database_at(revision: str, place: Path) -> Engine:
    """A database as an older version of Netloom created it."""
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    engine = create_engine(database_url(place))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return engine


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_older_database_is_upgraded_with_its_rows(place: Path, revision: str) -> None:
    document = dumps(blank("Café"))
    engine = database_at(revision, place)
    with engine.begin() as connection:
        for line in OLD_ROWS.format(document=document.replace("'", "''"), moment=OLD_MOMENT).strip().split(";\n"):
            connection.exec_driver_sql(line)
    engine.dispose()

    newer = open_store(place)
    saved, run, points = newer.load("p"), newer.run("r"), newer.points("r")
    assert (saved.project, saved.revision, saved.acks, saved.stamp) == (blank("Café"), 3, {"tab": 2}, 4)
    assert [(row.number, row.name) for row in newer.versions("p")] == [(1, "first")]
    assert (run.title, run.state, run.reason, run.step, run.summary) == (
        "Old",
        "stopped",
        "by hand",
        40,
        RunSummary(rate=5),
    )
    assert run.created_at == datetime(2025, 3, 1, 12, 30, tzinfo=UTC)
    assert (run.owner, run.device, run.claim, run.notes, run.tags, run.about) == ("", "auto", None, "", (), RunOrigin())
    assert (points.step, points.value, points.last) == ([40], [0.1], 9)
    assert newer.take_commands("r") == [Command("learning_rate", 0.25)]
    newer.enqueue(newer.run("r"))
    assert [waiting.id for waiting in newer.line()] == ["r"]
    newer.create_sweep("p", saved.project, sweep_plan(1))
    with newer.db.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    newer.close()


def test_newer_database_is_refused_and_unchanged(store: Store, project_id: str) -> None:
    with store.db.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(
        StoreError, match=r"newer version of Netloom \(schema 9999, this one supports up to .*\); upgrade Netloom"
    ):
        open_store(store.home)
    with store.db.reading() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    assert [row.id for row in store.list_projects()] == [project_id]


@pytest.mark.parametrize("revision", [None, "0002"])
def test_interrupted_migration_starts_over(place: Path, revision: str | None) -> None:
    """Also when all tables are created at once in an empty database."""
    if revision:
        database_at(revision, place).dispose()
    child = Child(die_migrating, place)
    problems = child.communicate()[1]
    assert child.returncode == -signal.SIGKILL, problems
    engine = create_engine(database_url(place))
    with engine.connect() as connection:
        assert sorted(inspect(connection).get_table_names()) == (TABLES_OF_0002 if revision else [])
    engine.dispose()
    store = open_store(place)
    store.create_project(blank("Whole"))
    with store.db.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    store.close()
