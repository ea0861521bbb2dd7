"""Several processes with one open store; some of them are killed or fork meanwhile."""

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


def test_processes_open_a_new_home_concurrently(place: Path) -> None:
    outputs = together(processes.open_fresh, place, 3, "not there yet")
    store = open_store(place / "not there yet")
    assert {row.id for row in store.list_projects()} == {lines[0] for lines in outputs}
    assert len(store.list_projects()) == 3
    store.close()


def test_threads_open_new_homes_concurrently(home: Path) -> None:
    ready, opened = threading.Barrier(6), []

    def open_new_home(number: int) -> None:
        ready.wait()
        store = open_store(home / str(number % 3))
        store.create_project(blank("Fresh"))
        opened.append(store)

    threads = [threading.Thread(target=open_new_home, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(store.list_projects()) for store in opened] == [2] * 6
    for store in opened:
        store.close()


def test_concurrent_saves_lose_no_update(store: Store) -> None:
    project_id = store.create_project(blank("0"))
    outputs = together(processes.save, store.home, 2, project_id, 20)
    stamps = sorted(int(stamp) for lines in outputs for stamp in lines)
    assert stamps == list(range(1, 41)), "every save stood on the one before it"
    saved = store.load(project_id)
    assert (saved.project.name, saved.revision, saved.stamp) == ("40", 40, 41), "no save was lost"


def test_concurrent_writers_lose_no_points(store: Store, run: Run) -> None:
    together(processes.write, store.home, 3, run.id, 8)
    points = store.points(run.id)
    assert Counter(points.epoch) == dict.fromkeys(range(8), 3 * BATCH)
    assert set(Counter(points.split).values()) == {8 * BATCH}
    for part in set(points.split):
        steps = [step for step, split in zip(points.step, points.split, strict=True) if split == part]
        assert steps == list(range(8 * BATCH)), "each in its own order"


def test_each_command_is_taken_by_one_reader(store: Store, run: Run) -> None:
    def send_commands() -> None:
        while not (store.home / "go").exists():
            time.sleep(0.001)
        for number in range(60):
            store.command(run.id, "learning_rate", number)
        while _waiting(store):
            time.sleep(0.001)
        put(store, run.id, "stopped")

    sender = threading.Thread(target=send_commands, daemon=True)
    sender.start()
    taken = [[float(line) for line in lines] for lines in together(processes.take, store.home, 2, run.id)]
    sender.join()
    assert sorted(taken[0] + taken[1]) == list(range(60))
    assert all(lines == sorted(lines) for lines in taken)


def _waiting(store: Store) -> int:
    with store.db.reading() as connection:
        return int(connection.execute(text("SELECT count(*) FROM commands")).scalar_one())


@pytest.mark.parametrize(("batches", "pause_s"), [(1, 0.0007), (3, 0.013), (6, 0.05)])
def test_killed_writer_leaves_complete_transactions(store: Store, run: Run, batches: int, pause_s: float) -> None:
    child = Child(processes.write_until_killed, store.home, run.project_id, run.id)
    saved_numbers = [int(child.stdout.readline()) for _ in range(batches)]
    time.sleep(pause_s)  # during the next transaction
    child.kill()
    saved_numbers += [int(line) for line in child.communicate()[0].split()]
    assert child.returncode == -signal.SIGKILL

    reopened = open_store(store.home)
    saved = reopened.load(run.project_id)
    assert saved.revision >= saved_numbers[-1]
    assert (saved.project.name, saved.acks) == (str(saved.revision), {"client": saved.revision})
    written = Counter(reopened.points(run.id).epoch)
    assert set(written.values()) == {BATCH}
    assert set(saved_numbers) <= set(written) <= set(range(1, saved.revision + 1))
    assert sorted(written) == list(range(1, len(written) + 1)), "none is missing in between"
    assert saved.revision - len(written) in (0, 1), "the document of a number is kept before its points"
    if reopened.db.is_sqlite:
        with reopened.db.reading() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
    reopened.save(saved.id, blank("Goes on"), saved.epoch, saved.revision + 1, {}, saved.stamp)
    put(reopened, run.id, "failed", reason="killed")
    assert reopened.run(run.id).reason == "killed"
    reopened.close()
    store.add_points(run.id, batch(0))  # no lock is left


def test_forked_children_use_separate_connections(store: Store, run: Run) -> None:
    child = Child(processes.fork, store.home, run.id)
    output, problems = child.communicate()
    assert child.returncode == 0, problems
    assert output.split("\n") == ["[-9, -9]", str((1 + 3 * 19) * BATCH), ""]
    assert Counter(store.points(run.id).epoch) == {0: BATCH, **dict.fromkeys(range(1, 20), 3 * BATCH)}
    if store.db.is_sqlite:
        with store.db.reading() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
