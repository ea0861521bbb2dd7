"""The library stores networks for all projects, and overwrites none implicitly."""

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


def test_published_network_is_visible_in_other_stores(store: Store) -> None:
    published = store.publish(bundle("tower"), {"size": 7, "parameters": {"a": 1}})
    assert (published.name, published.number, published.summary) == ("tower", 1, {"size": 7, "parameters": {"a": 1}})
    assert published.created_at == published.updated_at
    assert published.created_at.tzinfo is not None
    other = open_store(store.home)
    assert dumps(other.bundle("tower")) == dumps(bundle("tower"))
    assert other.library() == [published] == [other.published("tower")]
    other.close()


def test_publish_overwrites_only_with_replace(store: Store) -> None:
    first = store.publish(bundle("tower"), {})
    with pytest.raises(NameTakenError, match="a network tower in the library already; nothing was overwritten"):
        store.publish(bundle("tower", 9), {"size": 1})
    assert store.bundle("tower") == bundle("tower")
    replaced = store.publish(bundle("tower", 9), {"size": 1}, replace=True)
    assert (replaced.number, replaced.summary, replaced.created_at) == (2, {"size": 1}, first.created_at)
    assert replaced.updated_at > first.updated_at
    assert store.bundle("tower") == bundle("tower", 9)


def test_library_is_sorted_by_name(store: Store) -> None:
    for name in ("b", "c", "a"):
        store.publish(bundle(name), {})
    assert [row.name for row in store.library()] == ["a", "b", "c"]


def test_rename_also_renames_the_network(store: Store) -> None:
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


def test_deleted_network_is_not_found(store: Store) -> None:
    store.publish(bundle("tower"), {})
    assert store.delete_published("tower")
    assert not store.delete_published("tower")
    for refused in (lambda: store.bundle("tower"), lambda: store.published("tower")):
        with pytest.raises(NotFoundError, match="no network 'tower' in the library; it may have been deleted"):
            refused()


def test_unreadable_network_does_not_hide_others(store: Store) -> None:
    store.publish(bundle("broken"), {})
    store.publish(bundle("whole"), {})
    with store.db.writing() as connection:
        connection.execute(update(schema.library).where(schema.library.c.name == "broken").values(document="{"))
    with pytest.raises(StoreError, match="The network broken of the library cannot be read"):
        store.bundle("broken")
    assert [row.name for row in store.library()] == ["broken", "whole"]
    assert store.bundle("whole") == bundle("whole")


def test_one_of_several_concurrent_publishers_wins(store: Store) -> None:
    ready, published = threading.Barrier(4), []

    def publish(units: int) -> None:
        ready.wait()
        with suppress(NameTakenError):  # another thread was first
            store.publish(bundle("tower", units), {"units": units})
            published.append(units)

    threads = [threading.Thread(target=publish, args=(units,)) for units in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(published) == 1
    assert store.published("tower").summary == {"units": published[0]}
    assert store.bundle("tower") == bundle("tower", published[0])


def test_killed_writer_leaves_a_complete_network(store: Store) -> None:
    child = Child(publish_until_killed, store.home)
    saved_numbers = [int(child.stdout.readline()) for _ in range(3)]
    child.kill()
    saved_numbers += [int(line) for line in child.communicate()[0].split()]
    row = store.published("tower")
    assert row.summary["number"] == row.number >= saved_numbers[-1]
    assert store.bundle("tower").notes == str(row.number)


def test_only_rows_to_be_changed_are_locked(store: Store) -> None:
    """On PostgreSQL, a locked row blocks other readers that lock it; SQLite has no such clause."""
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
