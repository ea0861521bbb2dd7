"""Sweeps run in a separate process: servers, that process and workers are killed, and each trial runs once."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from netloom.runs.search import sweep_process, sweeps
from netloom.store import Store, open_store
from tests.preloaded import PreloadedProcess, start_python
from tests.processes import sweep_processes
from tests.runs.examples import check_curves, moons, until
from tests.store.states import put_sweep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes by their open files")
EPOCHS = 30
# The supervision of runs and sweeps by a web server, without its pages.
_SERVER = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from netloom.store import open_store\n"
    "from netloom.runs import keep\n"
    "from netloom.runs.search import sweeps\n"
    "from netloom.document import loads\n"
    "store = open_store(Path(sys.argv[1]))\n"
    "thread = keep(store)\n"
    "if len(sys.argv) > 2:\n"
    "    project = store.load(sys.argv[2]).project\n"
    "    space = {'training.seed': {'choices': [1, 2, 3, 4]}}\n"
    "    sweeps.start(store, sys.argv[2], project, sweeps.plan(project, space, trials=4, sampler='grid'))\n"
    "time.sleep(300)\n"
)


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """A store whose sweeps and workers end with the test, whichever process started them."""
    opened = open_store(home)
    yield opened
    for sweep in opened.sweeps(state="running"):
        put_sweep(opened, sweep.id, "stopped")
    until(lambda: not sweep_processes(home), 60)
    for run in opened.active_runs():
        if run.pid:
            kill(run.pid)
    opened.close()


@contextmanager
def server(store: Store, project_id: str = "") -> Iterator[PreloadedProcess]:
    """A server that optionally starts a sweep over a project."""
    process = start_python("-c", _SERVER, store.home, *[project_id] * bool(project_id))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_sweep_process(store: Store) -> None:
    pids = sweep_processes(store.home)
    assert len(pids) == 1
    kill(pids[0])
    until(lambda: not sweep_process.is_running(store.home), 60)


def has_finished_first_epoch(store: Store, sweep_id: str, number: int) -> bool:
    """Whether a trial has finished its first epoch."""
    trials = store.trials(sweep_id)
    return len(trials) > number and max(store.points(str(trials[number].run_id)).epoch, default=0) >= 1


def start_count(store: Store, run_id: str) -> int:
    """The number of workers that trained a run."""
    lines = store.artifacts(run_id).local_directory().joinpath("log.jsonl").read_text().splitlines()
    return sum(json.loads(line)["event"] == "start" for line in lines)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_sweep_survives_killed_server_process_and_worker(store: Store) -> None:
    project = moons(epochs=EPOCHS)
    project_id = store.create_project(project)
    with server(store, project_id) as server_process:
        until(lambda: bool(store.sweeps()), 300)
        [sweep] = store.sweeps()
        until(lambda: has_finished_first_epoch(store, sweep.id, 0), 300)
        # The server itself suggests and starts nothing.
        assert sweep_processes(store.home)
        assert server_process.pid not in sweep_processes(store.home)
    # The server is gone: the sweep process starts the second trial.
    until(lambda: has_finished_first_epoch(store, sweep.id, 1), 300)
    kill_sweep_process(store)
    # The sweep process is gone too: the worker of the second trial starts another one when it ends, which starts the
    # third trial.
    until(lambda: has_finished_first_epoch(store, sweep.id, 2), 300)
    run_id = str(store.trials(sweep.id)[2].run_id)
    kill_sweep_process(store)
    kill(int(store.run(run_id).pid or 0))
    # No process is left; the next server retries the killed trial and starts the last one.
    with server(store):
        until(lambda: store.run(run_id).about.retries == 1, 300)
    until(lambda: store.sweep(sweep.id).state == "finished", 300)
    trials = store.trials(sweep.id)
    assert [trial.state for trial in trials] == ["complete"] * 4
    assert [trial.assigned["training.seed"] for trial in trials] == [1, 2, 3, 4]
    assert sorted(run.id for run in store.runs()) == sorted(str(trial.run_id) for trial in trials)
    assert [start_count(store, str(trial.run_id)) for trial in trials] == [1, 1, 2, 1]
    for trial in trials:
        check_curves(store.points(str(trial.run_id)), epochs=EPOCHS)
    until(lambda: not sweep_processes(store.home), 60)


# With a GPU, a sweep process is a child of this one, which forgets it when it starts the next one.
@pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning")
@pytest.mark.timeout(900)
def test_one_process_advances_all_sweeps_and_exits_with_the_last(store: Store) -> None:
    project = moons(epochs=2)
    project_id = store.create_project(project)
    plan = sweeps.plan(project, {"training.seed": {"choices": [1, 2]}}, trials=1, sampler="grid")
    first, second = (sweeps.start(store, project_id, project, plan) for _ in range(2))
    holders: set[str] = set()  # another process may start briefly, and exits because the lock is held

    def finished() -> bool:
        with suppress(OSError):
            holders.add((store.home / sweep_process.PID_FILE).read_text())
        return all(store.sweep(sweep_id).state == "finished" for sweep_id in (first, second))

    until(finished, 300)
    assert len(holders - {""}) == 1
    until(lambda: not sweep_process.is_running(store.home), 60)
    # The next sweep gets a new process immediately.
    third = sweeps.start(store, project_id, project, plan)
    until(lambda: store.sweep(third).state == "finished", 300)
    assert len(store.runs()) == 3
