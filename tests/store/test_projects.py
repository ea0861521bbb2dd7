"""Projects and versions: nothing is overwritten unseen, what has a name stays, and any name is only text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from builder.graph import Project
from builder.store import Conflict, SavedProject, Store, StoreError, open_store
from builder.store.projects import KEPT_VERSIONS
from tests.networks import digits_mlp

HOSTILE = ['"; DROP TABLE projects; --', "'", "</script>", "../../etc/passwd", "a\nb\r\n", "𝕏" * 50, "%s{0}", " "]


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(home)
    yield opened
    opened.close()


@pytest.fixture
def each_save_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.store.projects.VERSION_EVERY", timedelta(0))


def _project(name: str) -> Project:
    return digits_mlp().model_copy(update={"name": name})


def _save(store: Store, found: SavedProject, name: str) -> SavedProject:
    store.save(found.id, _project(name), found.epoch, found.revision + 1, found.acks, found.stamp)
    return store.load(found.id)


def test_a_project_comes_back_as_it_was(store: Store) -> None:
    project_id = store.create_project(digits_mlp())
    found = store.load(project_id)
    assert found.project == digits_mlp()
    assert (found.revision, found.acks, found.stamp) == (0, {}, 1)
    stamp = store.save(project_id, _project("Two"), "epoch", 7, {"tab": 3}, found.stamp)
    again = store.load(project_id)
    assert (again.project.name, again.epoch, again.revision, again.acks, again.stamp) == (
        "Two",
        "epoch",
        7,
        {"tab": 3},
        stamp,
    )


def test_the_one_changed_last_comes_first(store: Store) -> None:
    ids = [store.create_project(_project(name)) for name in "abc"]
    _save(store, store.load(ids[0]), "a again")
    assert [row.name for row in store.list_projects()] == ["a again", "c", "b"]
    assert len(store.list_projects(limit=2)) == 2
    row = store.list_projects()[0]
    assert row.created_at.tzinfo is not None
    assert row.updated_at > row.created_at


def test_a_conflict_overwrites_nothing(store: Store, home: Path, each_save_a_version: None) -> None:
    other = open_store(home)
    mine = store.load(store.create_project(_project("one")))
    theirs = other.load(mine.id)
    _save(other, theirs, "theirs")
    versions = store.versions(mine.id)
    with pytest.raises(Conflict, match="nothing was overwritten") as caught:
        _save(store, mine, "mine")
    assert "\n" not in str(caught.value)
    assert store.load(mine.id).project.name == "theirs"
    assert store.versions(mine.id) == versions
    other.close()


def test_quick_saves_share_a_version(store: Store) -> None:
    found = store.load(store.create_project(_project("0")))
    for number in range(1, 10):
        found = _save(store, found, str(number))
    assert [row.number for row in store.versions(found.id)] == [2, 1]
    assert store.version(found.id, 2).name == "9"
    assert store.version(found.id, 1).name == "0"


def test_a_save_without_a_change_makes_no_version(store: Store, each_save_a_version: None) -> None:
    found = store.load(store.create_project(_project("same")))
    found = _save(store, found, "same")
    assert len(store.versions(found.id)) == 1


def test_the_newest_versions_are_kept(store: Store, each_save_a_version: None) -> None:
    found = store.load(store.create_project(_project("0")))
    for number in range(1, KEPT_VERSIONS + 15):
        found = _save(store, found, str(number))
    rows = store.versions(found.id)
    assert [row.number for row in rows] == list(range(KEPT_VERSIONS + 15, 15, -1))
    assert store.version(found.id, rows[-1].number).name == "15"
    with pytest.raises(StoreError, match="no version 1 "):
        store.version(found.id, 1)


def test_a_named_version_is_kept_for_ever(store: Store, each_save_a_version: None) -> None:
    found = store.load(store.create_project(_project("first")))
    store.name_version(found.id, 1, "Before </script>")
    for number in range(1, KEPT_VERSIONS + 20):
        found = _save(store, found, str(number))
    rows = store.versions(found.id)
    assert rows[-1].number == 1
    assert rows[-1].name == "Before </script>"
    assert len(rows) == KEPT_VERSIONS + 1
    assert store.version(found.id, 1).name == "first"
    store.name_version(found.id, 1, "")
    found = _save(store, found, "one more")
    assert store.versions(found.id)[-1].number > 1


def test_a_quick_save_leaves_a_named_version_as_it_is(store: Store) -> None:
    found = store.load(store.create_project(_project("one")))
    found = _save(store, found, "two")
    store.name_version(found.id, 2, "kept")
    found = _save(store, found, "three")
    assert store.version(found.id, 2).name == "two"
    assert store.version(found.id, 3).name == "three"


def test_restoring_quickly_does_not_take_the_place_of_the_work(store: Store) -> None:
    found = store.load(store.create_project(_project("one")))
    found = _save(store, found, "two")
    found = _save(store, found, "one")
    assert [store.version(found.id, row.number).name for row in store.versions(found.id)] == ["one", "two", "one"]


def test_a_version_is_restored_by_saving_it(store: Store, each_save_a_version: None) -> None:
    found = store.load(store.create_project(digits_mlp()))
    found = _save(store, found, "worse")
    store.save(found.id, store.version(found.id, 1), found.epoch, found.revision + 1, found.acks, found.stamp)
    assert store.load(found.id).project == digits_mlp()
    assert store.version(found.id, 2).name == "worse"  # what was restored over can be restored too


def test_what_is_not_there_gets_a_sentence(store: Store) -> None:
    found = store.load(store.create_project(digits_mlp()))
    store.delete_project(found.id)
    store.delete_project(found.id)
    for attempt in (
        lambda: store.load(found.id),
        lambda: _save(store, found, "x"),
        lambda: store.version(found.id, 1),
        lambda: store.name_version(found.id, 1, "x"),
        lambda: store.create_run(found.id, digits_mlp()),
    ):
        with pytest.raises(StoreError) as caught:
            attempt()
        assert "\n" not in str(caught.value)
        assert str(caught.value).endswith(".")
    assert store.versions(found.id) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_only_text(store: Store, home: Path, name: str) -> None:
    project = _project(name)
    project_id = store.create_project(project)
    store.name_version(project_id, 1, name)
    run = store.create_run(project_id, project, title=name)
    store.run_folder(run.id).mkdir(parents=True)
    assert store.load(project_id).project.name == name
    assert store.list_projects()[0].name == name
    assert store.versions(project_id)[0].name == name
    assert store.run(run.id).title == name
    assert {path.name for path in home.rglob("*") if not path.name.startswith("netloom.db")} == {"runs", run.id}


def test_an_id_is_only_text(store: Store) -> None:
    store.create_project(digits_mlp())
    for project_id in HOSTILE:
        with pytest.raises(StoreError, match="no such project"):
            store.load(project_id)
        store.delete_project(project_id)
    assert len(store.list_projects()) == 1


@pytest.mark.parametrize("bad", ["\0", "\ud800"])
def test_what_no_database_keeps_becomes_a_sign(store: Store, bad: str) -> None:
    project_id = store.create_project(digits_mlp())
    run = store.create_run(project_id, digits_mlp(), title=f"a{bad}b")
    store.update_run(run.id, reason=f"c{bad}")
    store.name_version(project_id, 1, f"d{bad}")
    assert (store.run(run.id).title, store.run(run.id).reason) == ("a\ufffdb", "c\ufffd")
    assert store.versions(project_id)[0].name == "d\ufffd"


def test_a_stored_document_that_cannot_be_read_gets_a_sentence(store: Store) -> None:
    project_id = store.create_project(digits_mlp())
    with store.db.writing() as connection:
        connection.exec_driver_sql("UPDATE projects SET document = '{'")
        connection.exec_driver_sql("UPDATE versions SET document = '[]'")
    for attempt in (lambda: store.load(project_id), lambda: store.version(project_id, 1)):
        with pytest.raises(StoreError, match="cannot be read") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert len(store.list_projects()) == 1


def test_deleting_takes_all_of_it_along(store: Store) -> None:
    keep, drop = store.create_project(_project("keep")), store.create_project(_project("drop"))
    runs = [store.create_run(project_id, digits_mlp()) for project_id in (keep, drop, drop)]
    for run in runs:
        store.run_folder(run.id).mkdir(parents=True)
        (store.run_folder(run.id) / "weights").write_bytes(b"x")
        store.add_points(run.id, [(1, 0, "train", "loss", 1.0, 0.0)])
        store.command(run.id, "stop")
    store.delete_project(drop)
    assert [run.id for run in store.runs()] == [runs[0].id]
    assert [store.run_folder(run.id).exists() for run in runs] == [True, False, False]
    with store.db.reading() as connection:
        for table in ("versions", "runs", "points", "commands"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 1
