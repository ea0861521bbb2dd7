"""Where workers come from: they have imported what a run needs before they are told it, and disturb nobody by that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from netloom.runs import control, processes, refresh, start, wait, warm
from netloom.runs.forkserver import Forked
from netloom.store import Limits, Store, open_store
from tests.networks import digits_mlp
from tests.runs.examples import check_curves, moons, until

# What a worker that waits runs before it is told its run, and then the run itself up to its first point.
FIRST_POINT = """
import os, sys
from netloom.runs import worker
from netloom.runs.resources.limits import declared
from netloom.runs.run_reporter import RunReporter

class Met(BaseException):
    pass

def record(*values):
    raise Met

RunReporter.log_metrics = record
worker._import_heavy()
known = set(sys.modules)
try:
    worker.main(sys.argv[1], sys.argv[2], sys.argv[3], declared())
except Met:
    print(*sorted(set(sys.modules) - known))
    sys.stdout.flush()
    os._exit(0)
"""


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(home)
    yield opened
    opened.close()


@pytest.fixture
def unforked(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store on a machine with a GPU, whose workers do nothing but wait until nobody can tell them anything more."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(processes, "COMMAND", (sys.executable, "-c", "import sys; sys.stdin.read()"))
    yield store
    mine = [child for run_id, child in control.started_workers().items() if run_id in {run.id for run in store.runs()}]
    for child in (processes.spare(store.home), *mine):
        if child is not None and child.stdin is not None:
            child.stdin.close()
            child.wait(20)


def begin(store: Store, epochs: int) -> tuple[str, Forked]:
    """A run of so many epochs, and its worker."""
    project = moons(epochs=epochs)
    run_id = start(store, store.create_project(project), project)
    child = control.started_workers()[run_id]
    assert isinstance(child, Forked)
    return run_id, child


def end(process: psutil.Process) -> None:
    process.kill()
    with suppress(psutil.Error):
        process.wait(20)


def test_the_first_point_of_a_run_waits_for_no_import(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "advance", lambda store: None)
    project = digits_mlp()
    run_id = start(store, store.create_project(project), project)
    taken = store.claim_next(Limits())
    assert taken is not None
    command = [sys.executable, "-c", FIRST_POINT, str(store.home), run_id, str(taken.claim)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    new = done.stdout.split()
    assert [name for name in new if name.startswith("netloom_")], "the run's own code is imported, so it came this far"
    assert [
        name for name in new if name.startswith(("netloom.", "torch.", "sklearn", "safetensors", "pandas", "networkx"))
    ] == []


def test_workers_are_forked_of_one_process_and_have_the_environment_of_now(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, worker = begin(store, 2)
    server = psutil.Process(worker.pid).ppid()
    # Only a worker that is told of it reads its project here.
    monkeypatch.setenv("NETLOOM_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    other = open_store(tmp_path / "other")
    second, forked = begin(other, 2)
    assert psutil.Process(forked.pid).ppid() == server
    assert psutil.Process(server).num_threads() == 1, "or to fork it would not be safe"
    for opened, run_id, child in ((store, first, worker), (other, second, forked)):
        assert wait(opened, run_id, 60).state == "finished"
        check_curves(opened.points(run_id), epochs=2)
        with suppress(ChildProcessError):
            assert child.wait(20) == 0
    assert (tmp_path / "elsewhere.db").exists()
    other.close()


@pytest.mark.parametrize(("niceness", "expected"), [(None, 19), ("7", 7)])
def test_a_worker_has_the_priority_of_the_setting(
    niceness: str | None, expected: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if niceness is None:
        monkeypatch.delenv("NETLOOM_RUN_NICENESS")
    else:
        monkeypatch.setenv("NETLOOM_RUN_NICENESS", niceness)
    run_id, worker = begin(store, 10_000)
    assert psutil.Process(worker.pid).nice() == expected
    control.stop(store, run_id)
    assert wait(store, run_id, 120).state == "stopped"


def test_of_a_worker_that_is_killed_the_signal_is_known(store: Store) -> None:
    run_id, worker = begin(store, 10_000)
    until(lambda: store.points(run_id).step, 60)
    os.kill(worker.pid, signal.SIGTERM)
    until(lambda: refresh(store, run_id).state == "failed", 20)
    assert "signal 15" in refresh(store, run_id).reason


def test_workers_outlive_what_they_are_forked_of(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_WORKERS", "2")
    monkeypatch.setenv("NETLOOM_RUNS_EACH", "2")
    (short, one), (endless, other) = begin(store, 150), begin(store, 10_000)
    server = psutil.Process(one.pid).ppid()
    assert psutil.Process(other.pid).ppid() == server
    end(psutil.Process(server))
    for worker in (one, other):
        with pytest.raises(ChildProcessError):
            worker.poll()
    assert refresh(store, endless).state in ("queued", "running")
    end(psutil.Process(other.pid))
    assert refresh(store, endless).state == "failed"
    assert "without a word" in store.run(endless).reason
    assert wait(store, short, 60).state == "finished"


def test_a_forked_worker_that_is_told_nothing_hands_its_run_back_and_ends(store: Store) -> None:
    """Whoever started it was killed between noting it and telling it."""
    store.create_run(store.create_project(moons()), moons())
    run = store.claim_next(Limits())
    assert run is not None
    child = processes.acquire_worker(store.home)
    assert isinstance(child, Forked)
    assert store.set_worker(run.id, str(run.claim), child.pid)
    child.stdin.close()
    assert child.wait(20) == 0
    found = store.run(run.id)
    assert (found.state, found.pid, found.claim) == ("waiting", None, None)


def test_what_a_worker_leaves_behind_is_known_by_the_log_that_it_writes_to(store: Store, tmp_path: Path) -> None:
    """Its environment is that of its server, which may have been started for another data folder."""
    with (store.home / "worker.log").open("w") as log:
        mine = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=log, env={})
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={})
    try:
        assert processes.is_started_for(store.home, psutil.Process(mine.pid))
        assert not processes.is_started_for(store.home, psutil.Process(other.pid))
        assert not processes.is_started_for(tmp_path / "elsewhere", psutil.Process(mine.pid))
    finally:
        for process in (mine, other):
            process.communicate(b"\n")


def test_where_nothing_is_forked_a_new_worker_trains(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    project = moons(epochs=2)
    run_id = start(store, store.create_project(project), project)
    worker = control.started_workers()[run_id]
    assert isinstance(worker, subprocess.Popen)
    assert wait(store, run_id, 60).state == "finished"
    assert worker.wait(20) == 0


def test_where_nothing_is_forked_one_spare_waits_and_the_next_run_takes_it(unforked: Store) -> None:
    warm(unforked)
    spare = processes.spare(unforked.home)
    assert spare is not None
    warm(unforked)
    assert processes.spare(unforked.home) is spare
    project = digits_mlp()
    run_id = start(unforked, unforked.create_project(project), project)
    assert control.started_workers()[run_id] is spare
    assert unforked.run(run_id).pid == spare.pid


def test_no_spare_is_started_while_a_run_takes_its_first_steps(
    unforked: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = digits_mlp()
    start(unforked, unforked.create_project(project), project)
    warm(unforked)
    assert processes.spare(unforked.home) is None
    monkeypatch.setattr(control, "ALONE_S", 0.0)
    warm(unforked)
    spare = processes.spare(unforked.home)
    assert spare is not None
    assert spare.poll() is None
