"""The database: its tables, and what is said where it cannot be used."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import netloom.store
from netloom.core.data_folder import home
from netloom.store import Store, StoreError, open_store
from netloom.store.schema import HEAD, metadata
from tests.networks import digits_mlp


def _refused(folder: Path) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(folder).create_project(digits_mlp())
    message = str(caught.value)
    assert "\n" not in message
    assert "Traceback" not in message
    assert "sqlalche" not in message
    assert message.endswith(".")
    assert len(message) < 600
    return message


def test_the_migrations_lead_to_the_tables(home: Path) -> None:
    store = open_store(home)
    with store.db.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD
    store.close()
    folder = Path(netloom.store.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [HEAD]


def test_the_tables_are_made_as_they_are_described(home: Path) -> None:
    made = open_store(home)
    described = Store.__new__(Store)
    described.db = type(made.db)(f"sqlite:///{home / 'other.db'}")
    with described.db.writing() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    query = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%' ORDER BY name"
    with made.db.reading() as left, described.db.reading() as right:
        assert left.exec_driver_sql(query).all() == right.exec_driver_sql(query).all()
    made.close()
    described.close()


def test_opening_again_keeps_what_is_there(home: Path) -> None:
    for count in range(3):
        store = open_store(home)
        assert len(store.list_projects()) == count
        store.create_project(digits_mlp())
        store.close()


def test_the_journal_is_written_ahead_and_keys_are_held(home: Path) -> None:
    store = open_store(home)
    with store.db.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    store.close()


def test_the_folder_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETLOOM_DATABASE_URL", raising=False)
    monkeypatch.setenv("NETLOOM_HOME", str(tmp_path / "a" / "b"))
    assert home() == tmp_path / "a" / "b"
    open_store().close()
    assert (tmp_path / "a" / "b" / "netloom.db").exists()
    monkeypatch.setenv("NETLOOM_HOME", "~/x")
    assert home() == Path("~/x").expanduser()
    monkeypatch.delenv("NETLOOM_HOME")
    assert home().is_absolute()


def test_a_database_of_a_newer_netloom_is_left_alone(home: Path) -> None:
    store = open_store(home)
    store.create_project(digits_mlp())
    store.close()
    with sqlite3.connect(home / "netloom.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "newer Netloom" in _refused(home)
    connection = sqlite3.connect(home / "netloom.db")
    assert connection.execute("SELECT count(*) FROM projects").fetchone() == (1,)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    connection.close()


def test_a_file_that_is_no_database(home: Path) -> None:
    (home / "netloom.db").write_bytes(os.urandom(10_000))
    assert "damaged" in _refused(home)


def test_a_database_with_pages_overwritten(home: Path) -> None:
    store = open_store(home)
    store.create_project(digits_mlp())
    with store.db.engine.connect() as connection:
        connection.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    path = home / "netloom.db"
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert "damaged" in _refused(home)


def test_a_database_that_was_cut(home: Path) -> None:
    store = open_store(home)
    store.close()
    path = home / "netloom.db"
    path.write_bytes(path.read_bytes()[:6000])
    _refused(home)


def test_a_database_that_may_only_be_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(home)
    project_id = store.create_project(digits_mlp())
    store.close()
    monkeypatch.setenv("NETLOOM_DATABASE_URL", f"sqlite:///file:{home / 'netloom.db'}?mode=ro&uri=true")
    store = open_store(home)
    assert store.load(project_id).project == digits_mlp()
    with pytest.raises(StoreError, match="readonly") as caught:
        store.create_project(digits_mlp())
    assert "\n" not in str(caught.value)
    store.close()


def test_a_data_folder_that_cannot_be_made(home: Path) -> None:
    (home / "file").write_text("x")
    assert "cannot be made" in _refused(home / "file")
    assert "cannot be made" in _refused(home / "file" / "below")


def test_a_database_that_is_a_folder(home: Path) -> None:
    (home / "netloom.db").mkdir()
    assert "cannot be used" in _refused(home)


def test_a_database_of_something_else(home: Path) -> None:
    connection = sqlite3.connect(home / "netloom.db")
    connection.execute("CREATE TABLE projects (something INTEGER)")
    connection.commit()
    connection.close()
    _refused(home)


@pytest.mark.parametrize(
    "url", ["nonsense", "nosuch://x", "sqlite:////proc/none/x.db", "sqlite:///file:x?mode=ro&uri=true"]
)
def test_an_address_that_leads_nowhere(home: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("NETLOOM_DATABASE_URL", url)
    _refused(home)


def test_a_lock_held_for_too_long(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.store.database.BUSY_MS", 50)
    store = open_store(home)
    connection = sqlite3.connect(home / "netloom.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.create_project(digits_mlp())
    assert store.list_projects() == []  # reading goes on while someone writes
    connection.execute("ROLLBACK")
    connection.close()
    store.create_project(digits_mlp())
    store.close()
