"""Processes that die or fork in the middle, and several on one PostgreSQL; `test_processes.py` has those on SQLite."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from builder.graph import blank
from builder.store import Run, Store, open_store
from tests.store.processes import BATCH, spawn, together


def test_a_fresh_database_is_opened_by_many_at_once(postgres_place: Path) -> None:
    made = together("open_fresh", postgres_place, 4)
    store = open_store(postgres_place)
    assert {row.id for row in store.list_projects()} == {lines[0] for lines in made}
    store.close()


def test_threads_open_fresh_homes_at_once(home: Path) -> None:
    ready, opened = threading.Barrier(6), []

    def fresh(number: int) -> None:
        ready.wait()
        store = open_store(home / str(number % 3))
        store.create_project(blank("Fresh"))
        opened.append(store)

    threads = [threading.Thread(target=fresh, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(store.list_projects()) for store in opened] == [2] * 6
    for store in opened:
        store.close()


def test_one_of_many_savers_wins_and_the_others_know(postgres_store: Store) -> None:
    store = postgres_store
    project_id = store.create_project(blank("0"))
    told = together("save", store.home, 3, project_id, 15)
    found = store.load(project_id)
    assert found.project.name == "45", f"no save was lost; conflicts: {told}"
    assert found.revision == 45


def test_points_of_several_writers_are_all_there(postgres_store: Store) -> None:
    store, run = postgres_store, _run(postgres_store)
    together("write", store.home, 3, run.id, 15)
    found = store.points(run.id)
    assert Counter(found.epoch) == dict.fromkeys(range(15), 3 * BATCH)


def test_a_command_is_taken_by_one_of_two(postgres_store: Store) -> None:
    store, run = postgres_store, _run(postgres_store)

    def ask() -> None:
        while not (store.home / "go").exists():
            time.sleep(0.001)
        for number in range(60):
            store.command(run.id, "learning_rate", number)
        while _waiting(store):
            time.sleep(0.001)
        store.update_run(run.id, state="stopped")

    asker = threading.Thread(target=ask)
    asker.start()
    told = together("take", store.home, 2, run.id)
    asker.join()
    assert sorted(float(line) for lines in told for line in lines) == list(range(60))


def _run(store: Store) -> Run:
    return store.create_run(store.create_project(blank("x")), blank("x"))


def _waiting(store: Store) -> int:
    with store.db.reading() as connection:
        return int(connection.execute(text("SELECT count(*) FROM commands")).scalar_one())


@pytest.mark.parametrize("batches", [1, 6])
def test_a_killed_writer_leaves_whole_transactions(store: Store, run: Run, batches: int) -> None:
    child = spawn("write_until_killed", store.home, run.project_id, run.id)
    assert child.stdout is not None
    kept = [int(child.stdout.readline()) for _ in range(batches)]
    time.sleep(0.0007 * batches)  # somewhere within the next
    child.kill()
    kept += [int(line) for line in child.communicate()[0].split()]
    assert child.returncode == -signal.SIGKILL

    again = open_store(store.home)
    found = again.load(run.project_id)
    assert found.revision >= kept[-1]
    assert (found.project.name, found.acks) == (str(found.revision), {"client": found.revision})
    written = Counter(again.points(run.id).epoch)
    assert set(written.values()) == {BATCH}
    assert set(kept) <= set(written) <= set(range(1, found.revision + 1))
    if again.db.is_sqlite:
        with again.db.reading() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
    again.save(found.id, blank("Goes on"), found.epoch, found.revision + 1, {}, found.stamp)
    again.close()


def test_forked_children_have_connections_of_their_own(store: Store, run: Run) -> None:
    child = spawn("fork", store.home, run.id)
    told, problems = child.communicate(timeout=60)
    assert child.returncode == 0, problems
    assert told.split("\n") == ["[0, 0]", str((1 + 3 * 19) * BATCH), ""]
    assert Counter(store.points(run.id).epoch) == {0: BATCH, **dict.fromkeys(range(1, 20), 3 * BATCH)}
    if store.db.is_sqlite:
        with store.db.reading() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
