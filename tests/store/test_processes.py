"""Several processes with one store open, some of which die or fork in the middle."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from netloom.document import blank
from netloom.store import Run, Store, open_store
from tests.store import processes
from tests.store.processes import BATCH, Child, batch, together
from tests.store.states import put


def test_a_fresh_home_may_be_opened_by_all_at_once(place: Path) -> None:
    made = together(processes.open_fresh, place, 3, "not there yet")
    store = open_store(place / "not there yet")
    assert {row.id for row in store.list_projects()} == {lines[0] for lines in made}
    assert len(store.list_projects()) == 3
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


def test_one_of_many_savers_wins_and_the_others_know(store: Store) -> None:
    project_id = store.create_project(blank("0"))
    told = together(processes.save, store.home, 2, project_id, 20)
    stamps = sorted(int(stamp) for lines in told for stamp in lines)
    assert stamps == list(range(1, 41)), "every save stood on the one before it"
    found = store.load(project_id)
    assert (found.project.name, found.revision, found.stamp) == ("40", 40, 41), "no save was lost"


def test_points_of_several_writers_are_all_there(store: Store, run: Run) -> None:
    together(processes.write, store.home, 3, run.id, 8)
    found = store.points(run.id)
    assert Counter(found.epoch) == dict.fromkeys(range(8), 3 * BATCH)
    assert set(Counter(found.split).values()) == {8 * BATCH}
    for part in set(found.split):
        steps = [step for step, split in zip(found.step, found.split, strict=True) if split == part]
        assert steps == list(range(8 * BATCH)), "each in its own order"


def test_a_command_is_taken_by_one_of_two(store: Store, run: Run) -> None:
    def ask() -> None:
        while not (store.home / "go").exists():
            time.sleep(0.001)
        for number in range(60):
            store.command(run.id, "learning_rate", number)
        while _waiting(store):
            time.sleep(0.001)
        put(store, run.id, "stopped")

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    told = [[float(line) for line in lines] for lines in together(processes.take, store.home, 2, run.id)]
    asker.join()
    assert sorted(told[0] + told[1]) == list(range(60))
    assert all(lines == sorted(lines) for lines in told)


def _waiting(store: Store) -> int:
    with store.db.reading() as connection:
        return int(connection.execute(text("SELECT count(*) FROM commands")).scalar_one())


@pytest.mark.parametrize(("batches", "pause_s"), [(1, 0.0007), (3, 0.013), (6, 0.05)])
def test_a_killed_writer_leaves_whole_transactions(store: Store, run: Run, batches: int, pause_s: float) -> None:
    child = Child(processes.write_until_killed, store.home, run.project_id, run.id)
    kept = [int(child.stdout.readline()) for _ in range(batches)]
    time.sleep(pause_s)  # somewhere within the next
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
    assert sorted(written) == list(range(1, len(written) + 1)), "none is missing in between"
    assert found.revision - len(written) in (0, 1), "the document of a number is kept before its points"
    if again.db.is_sqlite:
        with again.db.reading() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
    again.save(found.id, blank("Goes on"), found.epoch, found.revision + 1, {}, found.stamp)
    put(again, run.id, "failed", reason="killed")
    assert again.run(run.id).reason == "killed"
    again.close()
    store.add_points(run.id, batch(0))  # no lock was left behind


def test_forked_children_have_connections_of_their_own(store: Store, run: Run) -> None:
    child = Child(processes.fork, store.home, run.id)
    told, problems = child.communicate()
    assert child.returncode == 0, problems
    assert told.split("\n") == ["[-9, -9]", str((1 + 3 * 19) * BATCH), ""]
    assert Counter(store.points(run.id).epoch) == {0: BATCH, **dict.fromkeys(range(1, 20), 3 * BATCH)}
    if store.db.is_sqlite:
        with store.db.reading() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
