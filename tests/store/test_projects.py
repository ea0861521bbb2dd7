"""Projects and versions, whichever database they are on: nothing is overwritten unseen, and any name is only text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import func, select, update

import builder.store.projects as module
from builder.graph import Project, blank
from builder.store import Conflict, Store, StoreError, open_store, schema
from tests.networks import digits_mlp

HOSTILE = [
    "'; DROP TABLE projects; --",
    'say "hi" \\ `x`',
    "two\nlines\r\ttabs",
    "</script><script>alert(1)</script>",
    "../../etc/passwd",
    "%s %(name)s {0} :name ?",
    "مرحبا 日本 🧵 \u202e",
    " ",
    "'",
    '"; DROP TABLE projects; --',
    "a\nb\r\n",
    "𝕏" * 50,
]


def rename(store: Store, project_id: str, *names: str) -> int:
    """Save the project under each of the names. Returns the last stamp."""
    found = store.load(project_id)
    stamp, revision = found.stamp, found.revision
    for name in names:
        revision += 1
        project = found.project.model_copy(update={"name": name})
        stamp = store.save(project_id, project, found.epoch, revision, {}, stamp)
    return stamp


def past(store: Store, project_id: str) -> dict[int, str]:
    """The name that the project has in each version, the oldest first."""
    numbers = [row.number for row in reversed(store.versions(project_id))]
    return {number: store.version(project_id, number).name for number in numbers}


@pytest.fixture
def every_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each save a version of its own, as if people took their time."""
    monkeypatch.setattr(module, "VERSION_EVERY", timedelta(0))


def test_what_is_saved_is_loaded(store: Store) -> None:
    first, second = digits_mlp(), digits_mlp(epochs=7)
    project_id = store.create_project(first)
    found = store.load(project_id)
    assert (found.project, found.revision, found.acks, found.stamp) == (first, 0, {}, 1)
    stamp = store.save(project_id, second, "epoch", 9, {"a client": 3, "another": 1}, found.stamp)
    found = store.load(project_id)
    assert (found.project, found.epoch, found.revision, found.stamp) == (second, "epoch", 9, stamp)
    assert found.acks == {"a client": 3, "another": 1}


def test_one_editor_saves_on_with_the_stamp_it_got(store: Store, project_id: str) -> None:
    rename(store, project_id, "a", "b", "c")
    assert store.load(project_id).project.name == "c"


def test_a_second_server_is_refused_and_overwrites_nothing(store: Store, project_id: str) -> None:
    other = open_store(store.home)
    mine, theirs = store.load(project_id), other.load(project_id)
    other.save(project_id, blank("Theirs"), theirs.epoch, 5, {"them": 5}, theirs.stamp)
    other.close()
    before = store.load(project_id), store.versions(project_id)
    with pytest.raises(Conflict, match="nothing was overwritten") as caught:
        store.save(project_id, blank("Mine"), mine.epoch, 9, {"me": 9}, mine.stamp)
    assert "\n" not in str(caught.value)
    assert store.load(project_id).project.name == "Theirs"
    assert (store.load(project_id), store.versions(project_id)) == before


def test_the_list_shows_the_last_changed_first(store: Store) -> None:
    ids = [store.create_project(blank(name)) for name in ("a", "b", "c")]
    rename(store, ids[0], "a, changed")
    assert [row.name for row in store.list_projects()] == ["a, changed", "c", "b"]
    assert [row.id for row in store.list_projects(limit=1)] == [ids[0]]
    assert len(store.list_projects(limit=2)) == 2
    assert store.list_projects()[0].updated_at > store.list_projects()[0].created_at
    for row in store.list_projects():
        assert row.created_at.utcoffset() == row.updated_at.utcoffset() == timedelta(0)
        assert datetime.now(UTC) - row.updated_at < timedelta(minutes=1)


@pytest.mark.usefixtures("every_save")
def test_versions_are_kept_by_number_and_those_with_a_name_for_ever(store: Store, project_id: str) -> None:
    rename(store, project_id, *(f"v{number}" for number in range(2, 11)))
    store.name_version(project_id, 4, "Before the big change")
    rename(store, project_id, *(f"v{number}" for number in range(11, 151)))
    rows = store.versions(project_id)
    numbers = [row.number for row in rows]
    assert numbers == sorted(numbers, reverse=True)
    assert set(range(101, 151)) <= set(numbers), "the last fifty"
    assert [(row.number, row.name) for row in rows if row.name] == [(4, "Before the big change")]
    assert numbers == [*range(150, 150 - module.KEPT_VERSIONS, -1), 4]
    assert store.version(project_id, 4).name == "v4"
    assert store.version(project_id, 150).name == "v150"
    assert store.version(project_id, 151 - module.KEPT_VERSIONS).name == f"v{151 - module.KEPT_VERSIONS}"
    with pytest.raises(StoreError, match="no version 5"):
        store.version(project_id, 5)
    store.name_version(project_id, 4, "")
    rename(store, project_id, "one more")
    assert min(row.number for row in store.versions(project_id)) > 4, "without its name it goes like the others"


@pytest.mark.usefixtures("every_save")
def test_a_save_without_a_change_makes_no_version(store: Store, project_id: str) -> None:
    rename(store, project_id, "Digits", "Digits")
    assert past(store, project_id) == {1: "Digits"}


@pytest.mark.usefixtures("every_save")
def test_a_version_is_restored_by_saving_it(store: Store) -> None:
    project_id = store.create_project(digits_mlp())
    rename(store, project_id, "worse")
    found = store.load(project_id)
    store.save(project_id, store.version(project_id, 1), found.epoch, found.revision + 1, found.acks, found.stamp)
    assert store.load(project_id).project == digits_mlp()
    assert store.version(project_id, 2).name == "worse", "what was restored over can be restored too"


def test_quick_saves_share_a_version_but_never_the_first_or_a_named_one(store: Store, project_id: str) -> None:
    rename(store, project_id, *"abdefghc")
    assert past(store, project_id) == {1: "Digits", 2: "c"}
    store.name_version(project_id, 2, "Keep")
    rename(store, project_id, "d", "e")
    assert past(store, project_id) == {1: "Digits", 2: "c", 3: "e"}


def test_a_restored_version_leaves_the_work_it_was_put_over(store: Store, project_id: str) -> None:
    rename(store, project_id, "an hour of work")
    rename(store, project_id, store.version(project_id, 1).name)
    assert store.load(project_id).project.name == "Digits"
    assert past(store, project_id) == {1: "Digits", 2: "an hour of work", 3: "Digits"}
    rename(store, project_id, store.version(project_id, 2).name)
    assert past(store, project_id)[4] == "an hour of work"


def test_deleting_a_project_takes_its_runs_and_their_folders_along(store: Store, project: Project) -> None:
    kept, doomed = store.create_project(project), store.create_project(project)
    runs = [store.create_run(project_id, project) for project_id in (kept, doomed, doomed)]
    for run in runs:
        store.run_folder(run.id).mkdir(parents=True)
        (store.run_folder(run.id) / "model.py").write_text("# code")
        store.add_points(run.id, [(1, 1, "train", "loss", 1.0, 0.0)])
        store.command(run.id, "pause")
    store.delete_project(doomed)
    store.delete_project(doomed)
    assert [row.id for row in store.list_projects()] == [kept]
    assert [store.has_project(project_id) for project_id in (kept, doomed)] == [True, False]
    assert store.runs() == [runs[0]]
    assert [path.name for path in (store.home / "runs").iterdir()] == [runs[0].id]
    assert store.versions(doomed) == []
    for run in runs[1:]:
        assert store.take_commands(run.id) == []
        assert store.points(run.id).step == []
    assert store.points(runs[0].id).step == [1]
    with store.db.reading() as connection:
        for table in (schema.versions, schema.runs, schema.points, schema.commands):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 1


def test_what_is_gone_gets_a_sentence(store: Store, project: Project) -> None:
    gone = store.create_project(project)
    store.delete_project(gone)
    for name in (gone, "none"):
        refusals: list[tuple[Callable[[], object], str]] = [
            (partial(store.load, name), r"no such project; it may have been deleted\.$"),
            (partial(store.save, name, project, "epoch", 1, {}, 1), r"was deleted meanwhile"),
            (partial(store.version, name, 1), r"no version 1 "),
            (partial(store.name_version, name, 1, "name"), r"no version 1 "),
            (partial(store.create_run, name, project), r"may have been deleted"),
        ]
        for refused, said in refusals:
            with pytest.raises(StoreError, match=said) as caught:
                refused()
            assert "\n" not in str(caught.value)
            assert str(caught.value).endswith(".")
        assert store.versions(name) == []


def test_names_are_data(store: Store) -> None:
    runs = set()
    for name in HOSTILE:
        project_id = store.create_project(blank(name))
        store.name_version(project_id, 1, name)
        run = store.create_run(project_id, blank(name))
        named = store.create_run(project_id, blank("other"), title=name)
        assert store.load(project_id).project.name == store.list_projects()[0].name == name
        assert (store.versions(project_id)[0].name, store.run(run.id).title) == (name, name)
        assert store.run(named.id).title == name
        assert store.run_folder(run.id) == store.home / "runs" / run.id
        store.run_folder(run.id).mkdir(parents=True)
        runs.add(run.id)
    made = {path.name for path in store.home.rglob("*") if not path.name.startswith("netloom.db")}
    assert made == {"runs", *runs}


def test_ids_are_data(store: Store, project_id: str) -> None:
    for hostile in HOSTILE:
        with pytest.raises(StoreError, match="no such project"):
            store.load(hostile)
        assert not store.has_project(hostile)
        store.delete_project(hostile)
    assert [row.id for row in store.list_projects()] == [project_id]


@pytest.mark.parametrize("sign", ["\0", "\ud800"])
def test_signs_that_no_database_keeps_are_replaced(store: Store, sign: str) -> None:
    project_id = store.create_project(blank("name"))
    store.name_version(project_id, 1, f"a{sign}b")
    run = store.create_run(project_id, blank("name"), title=f"a{sign}b")
    store.update_run(run.id, reason=f"c{sign}")
    assert store.versions(project_id)[0].name == store.run(run.id).title == "a\ufffdb"
    assert store.run(run.id).reason == "c\ufffd"


def test_a_name_with_a_nul_stays_in_the_document(store: Store) -> None:
    project_id = store.create_project(blank("a\0b"))
    assert store.load(project_id).project.name == "a\0b"
    assert store.list_projects()[0].name == "a\ufffdb"


@pytest.mark.parametrize("text", ["{", '{"format": 99, "name": "x", "networks": {"main": {}}}', "[]"])
def test_a_document_that_cannot_be_read_gets_a_sentence(store: Store, project_id: str, text: str) -> None:
    with store.db.writing() as connection:
        connection.execute(update(schema.projects).values(document=text))
        connection.execute(update(schema.versions).values(document=text))
    for refused in (lambda: store.load(project_id), lambda: store.version(project_id, 1)):
        with pytest.raises(StoreError, match="cannot be read") as caught:
            refused()
        assert "\n" not in str(caught.value)
    assert [row.name for row in store.list_projects()] == ["Digits"], "the others can still be chosen"
