"""An unusable store is reported in one sentence: what, where, and how to fix it; and the cost of opening one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from netloom.core.data_folder import home
from netloom.document import Node, blank
from netloom.store import Store, StoreError, open_store
from tests.store.processes import Child, batch, open_as_stranger


def refusal(folder: Path) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(folder).create_project(blank("x"))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETLOOM_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETLOOM_HOME", "here")
    assert home() == tmp_path / "here"
    monkeypatch.delenv("NETLOOM_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home().is_absolute()
    assert home().name == "netloom"


@pytest.mark.parametrize("name", ["a b", "who?x=1", "100%20", "50%", "c#", "naïve", "it's", "a;b&c", "[x]@{y}"])
def test_a_data_folder_may_have_any_name(home: Path, name: str) -> None:
    store = open_store(home / name)
    store.create_project(blank("x"))
    store.close()
    assert [path.name for path in home.iterdir()] == [name]
    assert (home / name / "netloom.db").is_file()


def test_opening_waits_for_a_locked_new_file(home: Path) -> None:
    # The timeout of SQLite does not cover the switch to WAL: 1 of 100 processes that opened a new home
    # concurrently was refused immediately.
    writer = sqlite3.connect(home / "netloom.db", isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, writer.close)
    timer.start()
    store = open_store(home)
    store.create_project(blank("x"))
    assert [row.name for row in store.list_projects()] == ["x"]
    store.close()
    timer.join()


def test_refused_store_leaves_no_open_connection(home: Path) -> None:
    store = open_store(home)
    with store.db.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    store.close()
    refusal(home)
    assert not (home / "netloom.db-wal").exists(), "the last connection to be closed takes the log away"


def test_full_disk_loses_only_unsaved_points(home: Path) -> None:
    store = open_store(home)
    run = store.create_run(store.create_project(blank("x")), blank("x"))
    store.add_points(run.id, batch(0))
    with store.db.engine.connect() as connection:  # the pool reuses this connection
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 5}")
    kept = 1

    def fill() -> None:
        nonlocal kept
        for number in range(1, 100):
            store.add_points(run.id, batch(number))
            kept += 1

    with pytest.raises(StoreError, match=r"disk is full; free some space on its disk\.$"):
        fill()
    assert len(store.points(run.id).step) == kept * len(batch(0))
    with store.db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    store.add_points(run.id, batch(kept))
    store.close()


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="this system knows no other users")
@pytest.mark.parametrize("writable", ["", "folder"])
def test_store_of_another_user_is_refused(tmp_path: Path, writable: str) -> None:
    folder = Path("/tmp" if os.getuid() == 0 else tmp_path) / f"netloom-test-{os.getpid()}-{writable}"
    try:
        open_store(folder).close()
        (folder / "netloom.db").chmod(0o444)
        folder.chmod(0o777 if writable else 0o555)
        child = Child(open_as_stranger, folder, 65534 if os.getuid() == 0 else 0)
        output, problems = child.communicate()
        assert child.returncode == 0, problems
        assert "let this user write to it, or choose another data folder." in output or "may write there." in output
    finally:
        folder.chmod(0o777)
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("garbage", "is not the address of a database; write it like postgresql"),
        ("nosuch://host/name", "is not the address of a database"),
        ("oracle+oracledb://me:secret@host/name", "needs the Python package oracledb"),
        ("sqlite:////nowhere/at/all.db", "/nowhere/at/all.db cannot be used: unable to open database file"),
        ("sqlite:///file:x?mode=ro&uri=true", "cannot be used: unable to open database file"),
    ],
)
def test_invalid_database_url_is_explained(
    home: Path, monkeypatch: pytest.MonkeyPatch, url: str, expected: str
) -> None:
    monkeypatch.setenv("NETLOOM_DATABASE_URL", url)
    sentence = refusal(home)
    assert expected in sentence
    assert "secret" not in sentence


def test_unreachable_server_is_reported_without_the_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg", reason="PostgreSQL: the Python package psycopg is not installed")
    monkeypatch.setenv("NETLOOM_DATABASE_URL", f"postgresql+psycopg://me:secret@/netloom?host={home}")
    sentence = refusal(home)
    assert "cannot be used" in sentence
    assert "secret" not in sentence


def test_lone_surrogate_in_a_document_is_refused(store: Store) -> None:
    node = Node(id="a", type="Linear", params={"units": "\ud800"})
    project = blank("x")
    network = project.main_network.model_copy(update={"nodes": {"a": node}})
    with pytest.raises(StoreError, match="incomplete character"):
        store.create_project(project.with_network("main", network))


def test_opening_imports_no_heavy_packages(home: Path) -> None:
    heavy = ("torch", "streamlit", "pandas", "numpy", "sklearn", "alembic", "networkx")
    code = (
        "import sys; from netloom.store import open_store; open_store().list_projects(); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "[]\n"
