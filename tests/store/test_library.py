"""The library keeps networks for all projects, and overwrites none unasked."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from sqlalchemy import ClauseElement, Connection, event, update
from sqlalchemy.dialects import postgresql

from netloom.document import Project, dumps
from netloom.document.network_bundle import extract
from netloom.store import NameTakenError, NotFoundError, Store, StoreError, open_store, schema
from tests.networks import digits_mlp
from tests.store.processes import Child, publish_until_killed


def bundle(name: str, units: int = 3) -> Project:
    project = digits_mlp()
    node = project.main_network.nodes["linear_1"].model_copy(update={"params": {"units": units}})
    nodes = {**project.main_network.nodes, "linear_1": node}
    changed = project.with_network("main", project.main_network.model_copy(update={"nodes": nodes}))
    return extract(changed, "main", name)


def test_what_is_published_comes_back_in_every_store_of_the_home(store: Store) -> None:
    made = store.publish(bundle("tower"), {"size": 7, "parameters": {"a": 1}})
    assert (made.name, made.number, made.summary) == ("tower", 1, {"size": 7, "parameters": {"a": 1}})
    assert made.created_at == made.updated_at
    assert made.created_at.tzinfo is not None
    other = open_store(store.home)
    assert dumps(other.bundle("tower")) == dumps(bundle("tower"))
    assert other.library() == [made] == [other.published("tower")]
    other.close()


def test_nothing_is_overwritten_unasked(store: Store) -> None:
    first = store.publish(bundle("tower"), {})
    with pytest.raises(NameTakenError, match="a network tower in the library already; nothing was overwritten"):
        store.publish(bundle("tower", 9), {"size": 1})
    assert store.bundle("tower") == bundle("tower")
    again = store.publish(bundle("tower", 9), {"size": 1}, replace=True)
    assert (again.number, again.summary, again.created_at) == (2, {"size": 1}, first.created_at)
    assert again.updated_at > first.updated_at
    assert store.bundle("tower") == bundle("tower", 9)


def test_the_list_is_by_name(store: Store) -> None:
    for name in ("b", "c", "a"):
        store.publish(bundle(name), {})
    assert [row.name for row in store.library()] == ["a", "b", "c"]


def test_renaming_renames_the_network_too(store: Store) -> None:
    store.publish(bundle("tower"), {"size": 7})
    store.publish(bundle("other"), {})
    store.rename_published("tower", "spire")
    assert store.bundle("spire") == bundle("spire")
    assert store.published("spire").summary == {"size": 7}
    store.rename_published("spire", "spire")
    with pytest.raises(NameTakenError, match="other"):
        store.rename_published("spire", "other")
    with pytest.raises(StoreError, match="lowercase"):
        store.rename_published("spire", "'; DROP TABLE library; --")
    with pytest.raises(NotFoundError, match="no network 'gone'"):
        store.rename_published("gone", "x")
    assert [row.name for row in store.library()] == ["other", "spire"]


def test_deleting_and_what_is_not_there(store: Store) -> None:
    store.publish(bundle("tower"), {})
    assert store.delete_published("tower")
    assert not store.delete_published("tower")
    for refused in (lambda: store.bundle("tower"), lambda: store.published("tower")):
        with pytest.raises(NotFoundError, match="no network 'tower' in the library; it may have been deleted"):
            refused()


def test_what_cannot_be_read_hides_no_other(store: Store) -> None:
    store.publish(bundle("broken"), {})
    store.publish(bundle("whole"), {})
    with store.db.writing() as connection:
        connection.execute(update(schema.library).where(schema.library.c.name == "broken").values(document="{"))
    with pytest.raises(StoreError, match="keeps as broken cannot be read"):
        store.bundle("broken")
    assert [row.name for row in store.library()] == ["broken", "whole"]
    assert store.bundle("whole") == bundle("whole")


def test_of_many_who_publish_at_once_one_is_first(store: Store) -> None:
    ready, told = threading.Barrier(4), []

    def publish(units: int) -> None:
        ready.wait()
        with suppress(NameTakenError):  # by one of the others
            store.publish(bundle("tower", units), {"units": units})
            told.append(units)

    threads = [threading.Thread(target=publish, args=(units,)) for units in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1
    assert store.published("tower").summary == {"units": told[0]}
    assert store.bundle("tower") == bundle("tower", told[0])


def test_a_writer_that_dies_leaves_an_old_or_a_new_network(store: Store) -> None:
    child = Child(publish_until_killed, store.home)
    kept = [int(child.stdout.readline()) for _ in range(3)]
    child.kill()
    kept += [int(line) for line in child.communicate()[0].split()]
    row = store.published("tower")
    assert row.summary["number"] == row.number >= kept[-1]
    assert store.bundle("tower").notes == str(row.number)


def test_only_what_is_about_to_change_is_locked(store: Store) -> None:
    """On PostgreSQL, a locked row makes other readers that lock it wait; SQLite has no such clause."""
    store.publish(bundle("tower"), {})
    locks: list[bool] = []

    def record(connection: Connection, statement: ClauseElement, *_: object) -> None:
        text = str(statement.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
        locks.append("FOR UPDATE" in text)

    event.listen(store.db.engine, "before_execute", record)
    store.bundle("tower")
    assert locks == [False]
    locks.clear()
    store.rename_published("tower", "spire")
    assert locks[0]
