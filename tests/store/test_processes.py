"""Several processes with one store open, one of which may die at any moment."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.store import Run, Store, open_store
from tests.networks import digits_mlp
from tests.store.worker import BATCH, batch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(home)
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store) -> Run:
    return store.create_run(store.create_project(digits_mlp()), digits_mlp())


def _start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.worker", str(home), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _lines(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert not err
    return out.split()


def test_a_fresh_home_may_be_opened_by_all_at_once(home: Path) -> None:
    folder = home / "not there yet"
    processes = [_start(folder, "opening") for _ in range(6)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    (home.parent / "go").touch()
    for process in processes:
        _lines(process)
    store = open_store(folder)
    assert len(store.list_projects()) == 6
    store.close()


def test_processes_write_points_side_by_side(store: Store, home: Path, run: Run) -> None:
    processes = [_start(home, "points", run.id, "10", f"part{number}") for number in range(4)]
    for process in processes:
        assert len(_lines(process)) == 10
    points = store.points(run.id)
    assert Counter(points.split) == {f"part{number}": 10 * BATCH for number in range(4)}
    for number in range(4):
        steps = [step for step, split in zip(points.step, points.split, strict=True) if split == f"part{number}"]
        assert steps == list(range(10 * BATCH))


def test_a_killed_writer_leaves_whole_batches(store: Store, home: Path, run: Run) -> None:
    for pause in (0.0, 0.013, 0.05):
        before = len(store.points(run.id).step)
        process = _start(home, "points", run.id, "1000000", "train")
        assert process.stdout is not None
        told = process.stdout.readline().strip()
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        told = (process.communicate()[0].split() or [told])[-1]
        values = store.points(run.id).value[before:]
        counts = Counter(values)
        assert set(counts.values()) == {BATCH}
        assert len(counts) >= int(told) + 1  # what was told to be written is there
        assert sorted(counts) == list(range(len(counts)))
    store.add_points(run.id, batch(0))  # no lock was left behind


def test_a_killed_writer_can_be_followed_by_a_fresh_store(store: Store, home: Path, run: Run) -> None:
    process = _start(home, "points", run.id, "1000000", "train")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    store.close()
    again = open_store(home)
    assert len(again.points(run.id).step) % BATCH == 0
    again.update_run(run.id, state="failed", reason="killed")
    assert again.run(run.id).reason == "killed"
    again.close()


def _waiting(store: Store, run: Run) -> int:
    with store.db.reading() as connection:
        query = "SELECT count(*) FROM commands WHERE run_id = ?"
        return int(connection.exec_driver_sql(query, (run.id,)).scalar_one())


def test_commands_are_handed_out_once(store: Store, home: Path, run: Run) -> None:
    takers = [_start(home, "take", run.id) for _ in range(2)]
    for taker in takers:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"
    for number in range(200):
        store.command(run.id, "learning_rate", float(number))
        time.sleep(0.002)
    while _waiting(store, run):
        time.sleep(0.01)
    (home.parent / "go").touch()
    taken = [[float(line) for line in _lines(taker)] for taker in takers]
    assert sorted(taken[0] + taken[1]) == [float(number) for number in range(200)]
    assert all(part == sorted(part) for part in taken)


def test_two_savers_never_overwrite_each_other(store: Store, home: Path) -> None:
    project_id = store.create_project(digits_mlp())
    savers = [_start(home, "save", project_id, "40") for _ in range(2)]
    stamps = sorted(int(line) for saver in savers for line in _lines(saver))
    assert stamps == list(range(1, 81))  # every save stood on the one before it
    found = store.load(project_id)
    assert (found.stamp, found.revision) == (81, 80)
