"""A store that cannot be used says so in one sentence: what, where, how to mend. And what it costs to have one."""

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


def test_home_is_where_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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


def test_a_fresh_file_that_someone_writes_is_waited_for(home: Path) -> None:
    # SQLite's own timeout does not cover the switch to WAL: one in a hundred processes that opened a fresh home
    # together was refused at once.
    writer = sqlite3.connect(home / "netloom.db", isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, writer.close)
    timer.start()
    store = open_store(home)
    store.create_project(blank("x"))
    assert [row.name for row in store.list_projects()] == ["x"]
    store.close()
    timer.join()


def test_a_refused_store_leaves_no_connection_behind(home: Path) -> None:
    store = open_store(home)
    with store.db.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    store.close()
    refusal(home)
    assert not (home / "netloom.db-wal").exists(), "the last connection to be closed takes the log away"


def test_a_full_disk_loses_only_what_was_not_kept(home: Path) -> None:
    store = open_store(home)
    run = store.create_run(store.create_project(blank("x")), blank("x"))
    store.add_points(run.id, batch(0))
    with store.db.engine.connect() as connection:  # the pool hands out this very connection again
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
def test_a_store_of_someone_else(tmp_path: Path, writable: str) -> None:
    folder = Path("/tmp" if os.getuid() == 0 else tmp_path) / f"netloom-test-{os.getpid()}-{writable}"
    try:
        open_store(folder).close()
        (folder / "netloom.db").chmod(0o444)
        folder.chmod(0o777 if writable else 0o555)
        child = Child(open_as_stranger, folder, 65534 if os.getuid() == 0 else 0)
        told, problems = child.communicate()
        assert child.returncode == 0, problems
        assert "let this user write to it, or choose another data folder." in told or "may write there." in told
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
    ],
)
def test_an_address_that_leads_nowhere(home: Path, monkeypatch: pytest.MonkeyPatch, url: str, expected: str) -> None:
    monkeypatch.setenv("NETLOOM_DATABASE_URL", url)
    sentence = refusal(home)
    assert expected in sentence
    assert "secret" not in sentence


def test_a_server_that_is_not_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg", reason="PostgreSQL: the Python package psycopg is not installed")
    monkeypatch.setenv("NETLOOM_DATABASE_URL", f"postgresql+psycopg://me:secret@/netloom?host={home}")
    sentence = refusal(home)
    assert "cannot be used" in sentence
    assert "secret" not in sentence


def test_half_a_character_in_a_document(store: Store) -> None:
    node = Node(id="a", type="Linear", params={"units": "\ud800"})
    project = blank("x")
    network = project.main_network.model_copy(update={"nodes": {"a": node}})
    with pytest.raises(StoreError, match="incomplete character"):
        store.create_project(project.with_network("main", network))


def test_opening_imports_nothing_heavy(home: Path) -> None:
    heavy = ("torch", "streamlit", "pandas", "numpy", "sklearn", "alembic", "networkx")
    code = (
        "import sys; from netloom.store import open_store; open_store().list_projects(); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
