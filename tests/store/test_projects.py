"""Projects and versions on each database: no unnoticed overwrite, and any name is only text."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import get_args

import pytest
from sqlalchemy import event, func, select, update

import netloom.store.projects as module
from netloom.document import Project, blank
from netloom.editing.live import Live
from netloom.store import SaveConflictError, Store, StoreError, history, open_store, schema
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
    """Save the project once under each of the names. Returns the last stamp."""
    saved = store.load(project_id)
    stamp, revision = saved.stamp, saved.revision
    for name in names:
        revision += 1
        project = saved.project.model_copy(update={"name": name})
        stamp = store.save(project_id, project, saved.epoch, revision, {}, stamp)
    return stamp


def version_names(store: Store, project_id: str) -> dict[int, str]:
    """The name of the project in each version, oldest first."""
    numbers = [row.number for row in reversed(store.versions(project_id))]
    return {number: store.version(project_id, number).name for number in numbers}


class Clock:
    """The clock of the store."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake_clock = Clock()
    monkeypatch.setattr(module, "utc_now", fake_clock)
    return fake_clock


@pytest.fixture
def every_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes each save a separate version, as if the saves were far apart."""
    monkeypatch.setattr(history, "EVERY", timedelta(0))


def test_saved_project_is_loaded(store: Store) -> None:
    first, second = digits_mlp(), digits_mlp(epochs=7)
    project_id = store.create_project(first)
    saved = store.load(project_id)
    assert (saved.project, saved.revision, saved.acks, saved.stamp) == (first, 0, {}, 1)
    stamp = store.save(project_id, second, "epoch", 9, {"a client": 3, "another": 1}, saved.stamp)
    saved = store.load(project_id)
    assert (saved.project, saved.epoch, saved.revision, saved.stamp) == (second, "epoch", 9, stamp)
    assert saved.acks == {"a client": 3, "another": 1}


def test_editor_saves_with_its_latest_stamp(store: Store, project_id: str) -> None:
    rename(store, project_id, "a", "b", "c")
    assert store.load(project_id).project.name == "c"


def test_stale_save_is_refused_and_overwrites_nothing(store: Store, project_id: str) -> None:
    other = open_store(store.home)
    stale, current = store.load(project_id), other.load(project_id)
    other.save(project_id, blank("Theirs"), current.epoch, 5, {"them": 5}, current.stamp)
    other.close()
    before = store.load(project_id), store.versions(project_id)
    with pytest.raises(SaveConflictError, match="nothing was overwritten") as caught:
        store.save(project_id, blank("Mine"), stale.epoch, 9, {"me": 9}, stale.stamp)
    assert "\n" not in str(caught.value)
    assert store.load(project_id).project.name == "Theirs"
    assert (store.load(project_id), store.versions(project_id)) == before


def test_projects_are_listed_by_last_change(store: Store) -> None:
    ids = [store.create_project(blank(name)) for name in ("a", "b", "c")]
    rename(store, ids[0], "a, changed")
    assert [row.name for row in store.list_projects()] == ["a, changed", "c", "b"]
    assert [row.id for row in store.list_projects(limit=1)] == [ids[0]]
    assert len(store.list_projects(limit=2)) == 2
    assert store.list_projects()[0].updated_at > store.list_projects()[0].created_at
    for row in store.list_projects():
        assert row.created_at.utcoffset() == row.updated_at.utcoffset() == timedelta(0)
        assert datetime.now(UTC) - row.updated_at < timedelta(minutes=1)


def test_two_years_of_versions_are_thinned_by_age() -> None:
    """One change every 8 hours, in the last days every 20 minutes, in the last hours every minute."""
    now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    end, saved_at, stored = now + timedelta(days=2 * 365), list[datetime](), list[tuple[int, datetime]]()
    while now < end:
        time_left = end - now
        now += timedelta(
            minutes=1 if time_left <= timedelta(hours=3) else 20 if time_left <= timedelta(days=3) else 480
        )
        saved_at.append(now)
        stored.insert(0, (len(saved_at), now))
        outdated = set(history.outdated(stored, now))
        stored = [row for row in stored if row[0] not in outdated]
    remaining = {at for _, at in stored}

    def aged(low: timedelta, high: timedelta) -> list[datetime]:
        return [at for at in saved_at if low < now - at <= high]

    hour, day, year = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
    assert set(aged(-hour, hour)) <= remaining
    assert {format(at, "%Y%m%d%H"): at for at in aged(hour, day)}.keys() == {
        format(at, "%Y%m%d%H") for at in remaining if hour < now - at <= day
    }
    last = {format(at, "%Y%m%d"): at for at in aged(day + hour, year)}
    assert len(last) >= 364
    assert set(list(last.values())[1:-1]) <= remaining, "the last of each day"
    assert not [at for at in remaining if now - at > year]
    assert 60 + 23 + 364 <= len(remaining) <= 61 + 25 + 366


def test_named_versions_survive_thinning(store: Store, clock: Clock) -> None:
    project_id = store.create_project(blank("v1"))
    for number in range(2, 42):
        clock.wait(hours=12)
        rename(store, project_id, f"v{number}")
        if number == 4:
            store.name_version(project_id, 4, "Before the big change")
    versions = version_names(store, project_id)
    # The last ten, before them one of the two versions per day, and the named one.
    assert len([number for number in versions if number > 31]) == 10
    assert len([number for number in versions if number <= 31]) in (16, 17)
    clock.wait(days=400)
    rename(store, project_id, "much later")
    assert list(version_names(store, project_id)) == [4, *range(33, 43)]
    assert store.version(project_id, 4).name == "v4"
    with pytest.raises(StoreError, match="no version 8"):
        store.version(project_id, 8)
    store.name_version(project_id, 4, "")
    clock.wait(minutes=1)
    rename(store, project_id, "one more")
    assert 4 not in version_names(store, project_id), "without its name it goes like the others"


def test_last_versions_survive_years(store: Store, clock: Clock) -> None:
    project_id = store.create_project(blank("v1"))
    for number in range(2, 40):
        clock.wait(days=1)
        rename(store, project_id, f"v{number}")
    clock.wait(days=3000)
    rename(store, project_id, "again")
    assert list(version_names(store, project_id).values()) == [*(f"v{number}" for number in range(31, 40)), "again"]


def test_versions_are_at_least_30_seconds_apart(store: Store, clock: Clock) -> None:
    project_id, source = store.create_project(blank("v1")), random.Random(0)
    clock.wait(minutes=1)
    stamp = 1
    for number in range(300):
        clock.wait(seconds=source.choice([0.2, 3, 20, 50]))
        change = source.choice(get_args(history.Change))
        name = blank(f"v{source.randrange(50) if change == 'travel' else number}")
        stamp = store.save(project_id, name, "epoch", number, {}, stamp, change)
    times = [row.created_at for row in reversed(store.versions(project_id))]
    assert len(times) > 40
    assert min(later - earlier for earlier, later in pairwise(times)) >= history.EVERY


def test_undo_and_redo_do_not_change_versions(store: Store, clock: Clock) -> None:
    """Once, 88 steps in 14 seconds left 60 versions of these seconds, and none of the earlier work."""
    live = Live(store, store.create_project(blank("v0")))
    for number in range(1, 97):  # 48 minutes
        clock.wait(seconds=30)
        live.apply({"kind": "project", "name": f"v{number}"})
    before = version_names(store, live.id)
    assert len(before) == 97
    for step in range(88):
        clock.wait(seconds=14 / 88)
        live.apply({"kind": "undo" if step < 44 else "redo"})
        assert store.load(live.id).project == live.project, "what is undone is saved as it is"
    for _ in range(88):  # also when the steps are slower
        clock.wait(seconds=4)
        live.apply({"kind": "undo"})
    assert version_names(store, live.id) == before
    assert live.project.name == "v8"
    live.apply({"kind": "project", "name": "another way"})
    clock.wait(seconds=60)
    live.apply({"kind": "project", "name": "and on"})
    assert list(version_names(store, live.id).values()) == [*before.values(), "another way", "and on"]


def test_undo_within_edits_keeps_the_undone_version(store: Store, clock: Clock) -> None:
    live = Live(store, store.create_project(blank("v0")))
    clock.wait(minutes=1)
    live.apply({"kind": "project", "name": "an hour of work"})
    ops = [{"seq": 1, "kind": "undo"}, {"seq": 2, "kind": "project", "name": "else"}]
    live.sync({"epoch": live.editor.epoch, "client": "tab", "ops": ops})
    live.apply({"kind": "project", "name": "on"})
    assert version_names(store, live.id) == {1: "v0", 2: "an hour of work"}
    clock.wait(seconds=90)
    live.apply({"kind": "project", "name": "and on"})
    assert version_names(store, live.id) == {1: "v0", 2: "an hour of work", 3: "on", 4: "and on"}


def test_clock_set_back_does_not_stop_versions(store: Store, clock: Clock) -> None:
    project_id = store.create_project(blank("a"))
    rename(store, project_id, "b")
    clock.wait(days=-400)
    rename(store, project_id, "c")
    assert list(version_names(store, project_id).values()) == ["a", "b", "c"]


@pytest.mark.usefixtures("every_save")
def test_unchanged_save_creates_no_version(store: Store, project_id: str) -> None:
    rename(store, project_id, "Digits", "Digits")
    assert version_names(store, project_id) == {1: "Digits"}


@pytest.mark.usefixtures("every_save")
def test_version_is_restored_by_saving_it(store: Store) -> None:
    project_id = store.create_project(digits_mlp())
    rename(store, project_id, "worse")
    saved = store.load(project_id)
    store.save(project_id, store.version(project_id, 1), saved.epoch, saved.revision + 1, saved.acks, saved.stamp)
    assert store.load(project_id).project == digits_mlp()
    assert store.version(project_id, 2).name == "worse", "what was restored over can be restored too"


def test_quick_saves_share_a_version_except_first_and_named(store: Store, project_id: str) -> None:
    rename(store, project_id, *"abdefghc")
    assert version_names(store, project_id) == {1: "Digits", 2: "c"}
    store.name_version(project_id, 2, "Keep")
    rename(store, project_id, "d", "e")
    assert version_names(store, project_id) == {1: "Digits", 2: "c", 3: "e"}


def test_restore_keeps_the_replaced_work(store: Store, project_id: str) -> None:
    rename(store, project_id, "an hour of work")
    saved = store.load(project_id)
    store.save(project_id, store.version(project_id, 1), "epoch", 9, {}, saved.stamp, "replacement")
    assert store.load(project_id).project.name == "Digits"
    assert version_names(store, project_id) == {1: "Digits", 2: "an hour of work"}
    rename(store, project_id, "on from there")
    assert version_names(store, project_id) == {1: "Digits", 2: "an hour of work"}


def test_deleting_a_project_deletes_its_runs_and_folders(store: Store, project: Project) -> None:
    surviving, doomed = store.create_project(project), store.create_project(project)
    runs = [store.create_run(project_id, project) for project_id in (surviving, doomed, doomed)]
    for run in runs:
        store.artifacts(run.id).local_directory().mkdir(parents=True)
        (store.artifacts(run.id).local_directory() / "model.py").write_text("# code")
        store.add_points(run.id, [(1, 1, "train", "loss", 1.0, 0.0)])
        store.command(run.id, "pause")
    store.delete_project(doomed)
    store.delete_project(doomed)
    assert [row.id for row in store.list_projects()] == [surviving]
    assert [store.has_project(project_id) for project_id in (surviving, doomed)] == [True, False]
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


def test_deleted_project_is_refused_with_a_message(store: Store, project: Project) -> None:
    gone = store.create_project(project)
    store.delete_project(gone)
    for name in (gone, "none"):
        refusals: list[tuple[Callable[[], object], str]] = [
            (partial(store.load, name), r"no such project; it may have been deleted\.$"),
            (partial(store.save, name, project, "epoch", 1, {}, 1), r"was deleted in the meantime"),
            (partial(store.version, name, 1), r"no version 1 "),
            (partial(store.name_version, name, 1, "name"), r"no version 1 "),
            (partial(store.create_run, name, project), r"may have been deleted"),
        ]
        for refused, message in refusals:
            with pytest.raises(StoreError, match=message) as caught:
                refused()
            assert "\n" not in str(caught.value)
            assert str(caught.value).endswith(".")
        assert store.versions(name) == []


def test_hostile_names_are_stored_as_text(store: Store) -> None:
    runs = set()
    for name in HOSTILE:
        project_id = store.create_project(blank(name))
        store.name_version(project_id, 1, name)
        run = store.create_run(project_id, blank(name))
        named = store.create_run(project_id, blank("other"), title=name)
        assert store.load(project_id).project.name == store.list_projects()[0].name == name
        assert (store.versions(project_id)[0].name, store.run(run.id).title) == (name, name)
        assert store.run(named.id).title == name
        assert store.artifacts(run.id).local_directory() == store.home / "runs" / run.id
        store.artifacts(run.id).local_directory().mkdir(parents=True)
        runs.add(run.id)
    paths = {path.name for path in store.home.rglob("*") if not path.name.startswith("netloom.db")}
    assert paths == {"runs", *runs}


def test_hostile_ids_are_not_found(store: Store, project_id: str) -> None:
    for hostile in HOSTILE:
        with pytest.raises(StoreError, match="no such project"):
            store.load(hostile)
        assert not store.has_project(hostile)
        store.delete_project(hostile)
    assert [row.id for row in store.list_projects()] == [project_id]


@pytest.mark.parametrize("sign", ["\0", "\ud800"])
def test_unsupported_characters_are_replaced(store: Store, sign: str) -> None:
    project_id = store.create_project(blank("name"))
    store.name_version(project_id, 1, f"a{sign}b")
    run = store.create_run(project_id, blank("name"), title=f"a{sign}b")
    store.update_run(run.id, reason=f"c{sign}")
    assert store.versions(project_id)[0].name == store.run(run.id).title == "a\ufffdb"
    assert store.run(run.id).reason == "c\ufffd"


def test_nul_character_stays_in_the_document(store: Store) -> None:
    project_id = store.create_project(blank("a\0b"))
    assert store.load(project_id).project.name == "a\0b"
    assert store.list_projects()[0].name == "a\ufffdb"


@pytest.mark.parametrize("text", ["{", '{"format": 99, "name": "x", "networks": {"main": {}}}', "[]"])
def test_unreadable_document_is_refused_with_a_message(store: Store, project_id: str, text: str) -> None:
    with store.db.writing() as connection:
        connection.execute(update(schema.projects).values(document=text))
        connection.execute(update(schema.versions).values(document=text))
    for refused in (lambda: store.load(project_id), lambda: store.version(project_id, 1)):
        with pytest.raises(StoreError, match="cannot be read") as caught:
            refused()
        assert "\n" not in str(caught.value)
    assert [row.name for row in store.list_projects()] == ["Digits"], "the others can still be chosen"


def test_edit_takes_three_statements(store: Store) -> None:
    """They are most of the time in which a save computes, and each edit saves."""
    project = blank("few")
    project_id = store.create_project(project)
    stamp = store.load(project_id).stamp
    for number in range(3):  # the second one makes a version, which later edits replace
        stamp = store.save(project_id, project.model_copy(update={"notes": str(number)}), "e", number, {}, stamp)
    statements: list[str] = []
    event.listen(store.db.engine, "before_cursor_execute", lambda *values: statements.append(values[2]))
    store.save(project_id, project.model_copy(update={"notes": "last"}), "e", 4, {}, stamp)
    assert [statement.split()[0] for statement in statements] == ["SELECT", "UPDATE", "UPDATE"], statements
    assert store.version(project_id, 2).notes == "last"
