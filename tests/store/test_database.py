"""The database: its tables, and the messages when it is unusable."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from netloom.core.data_folder import home
from netloom.store import StoreError, open_store
from tests.networks import digits_mlp


def _refusal(folder: Path) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(folder).create_project(digits_mlp())
    message = str(caught.value)
    assert "\n" not in message
    assert "Traceback" not in message
    assert "sqlalche" not in message
    assert message.endswith(".")
    assert len(message) < 600
    return message


def test_reopening_keeps_existing_projects(home: Path) -> None:
    for count in range(3):
        store = open_store(home)
        assert len(store.list_projects()) == count
        store.create_project(digits_mlp())
        store.close()


def test_wal_and_foreign_keys_are_enabled(home: Path) -> None:
    store = open_store(home)
    with store.db.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    store.close()


def test_data_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETLOOM_DATABASE_URL", raising=False)
    monkeypatch.setenv("NETLOOM_HOME", str(tmp_path / "a" / "b"))
    assert home() == tmp_path / "a" / "b"
    open_store().close()
    assert (tmp_path / "a" / "b" / "netloom.db").exists()
    monkeypatch.setenv("NETLOOM_HOME", "~/x")
    assert home() == Path("~/x").expanduser()
    monkeypatch.delenv("NETLOOM_HOME")
    assert home().is_absolute()


def test_random_file_is_reported_as_damaged(home: Path) -> None:
    (home / "netloom.db").write_bytes(os.urandom(10_000))
    assert "damaged" in _refusal(home)


def test_overwritten_pages_are_reported_as_damaged(home: Path) -> None:
    store = open_store(home)
    store.create_project(digits_mlp())
    with store.db.engine.connect() as connection:
        connection.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    path = home / "netloom.db"
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert "damaged" in _refusal(home)


def test_truncated_database_is_refused(home: Path) -> None:
    store = open_store(home)
    store.close()
    path = home / "netloom.db"
    path.write_bytes(path.read_bytes()[:6000])
    _refusal(home)


def test_read_only_database_loads_but_refuses_writes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_data_folder_that_cannot_be_created_is_refused(home: Path) -> None:
    (home / "file").write_text("x")
    assert "cannot be created" in _refusal(home / "file")
    assert "cannot be created" in _refusal(home / "file" / "below")


def test_folder_in_place_of_database_is_refused(home: Path) -> None:
    (home / "netloom.db").mkdir()
    assert "cannot be used" in _refusal(home)


def test_foreign_sqlite_database_is_refused(home: Path) -> None:
    connection = sqlite3.connect(home / "netloom.db")
    connection.execute("CREATE TABLE projects (something INTEGER)")
    connection.commit()
    connection.close()
    _refusal(home)


def test_long_lock_fails_writes_but_not_reads(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.store.database.BUSY_MS", 50)
    store = open_store(home)
    connection = sqlite3.connect(home / "netloom.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.create_project(digits_mlp())
    assert store.list_projects() == []  # reads continue during a write
    connection.execute("ROLLBACK")
    connection.close()
    store.create_project(digits_mlp())
    store.close()
