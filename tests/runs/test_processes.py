"""The origin of workers: they have imported what a run needs before they get it, and do not disturb others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from netloom.core.torch_internals import COMPILER
from netloom.runs import control, processes, refresh, start, wait, warm
from netloom.runs.forkserver import Forked
from netloom.store import Limits, Store, open_store
from tests.networks import digits_mlp
from tests.runs.examples import check_curves, moons, until

# A new worker that writes the modules imported before it gets its run, and from then until the first point.
WORKER = """
import json, sys
from pathlib import Path
import netloom.runs.worker as worker
from netloom.runs.execution.run_reporter import RunReporter

log_metrics = RunReporter.log_metrics

def record(self, *values):
    RunReporter.log_metrics = log_metrics
    Path(sys.argv[1], "imported.json").write_text(json.dumps(sorted(set(sys.modules) - known)))
    log_metrics(self, *values)

RunReporter.log_metrics = record
worker._import_heavy()
known = set(sys.modules)
Path(sys.argv[1], "known.json").write_text(json.dumps(sorted(known)))
sys.exit(worker._work(sys.argv[1]))
"""


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store of a machine without a GPU, where workers are forked."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    opened = open_store(home)
    yield opened
    opened.close()


@pytest.fixture
def gpu_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store on a machine with a GPU, whose workers only wait until their standard input closes."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(processes, "COMMAND", (sys.executable, "-c", "import sys; sys.stdin.read()"))
    yield store
    own_children = [
        child for run_id, child in control.started_workers().items() if run_id in {run.id for run in store.runs()}
    ]
    for child in (processes.spare(store.home), *own_children):
        if child is not None and child.stdin is not None:
            child.stdin.close()
            child.wait(20)


def start_run(store: Store, epochs: int) -> tuple[str, Forked]:
    """Start a run with this number of epochs. Returns its ID and its worker."""
    project = moons(epochs=epochs)
    run_id = start(store, store.create_project(project), project)
    child = control.started_workers()[run_id]
    assert isinstance(child, Forked)
    return run_id, child


def test_workers_share_a_fork_server_and_get_the_current_environment(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, worker = start_run(store, 2)
    server = psutil.Process(worker.pid).ppid()
    # Only a worker that gets this variable reads its project here.
    monkeypatch.setenv("NETLOOM_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    other = open_store(tmp_path / "other")
    second, forked = start_run(other, 2)
    assert psutil.Process(forked.pid).ppid() == server
    if not Path("/proc/driver/nvidia").exists():  # a driver starts a thread of its own, although the GPU is hidden
        assert psutil.Process(server).num_threads() == 1, "or to fork it would not be safe"
    for opened, run_id, child in ((store, first, worker), (other, second, forked)):
        assert wait(opened, run_id, 60).state == "finished"
        check_curves(opened.points(run_id), epochs=2)
        with suppress(ChildProcessError):
            assert child.wait(20) == 0
    assert (tmp_path / "elsewhere.db").exists()
    other.close()


@pytest.mark.parametrize(("niceness", "expected"), [(None, 19), ("7", 7)])
def test_worker_niceness_follows_the_setting(
    niceness: str | None, expected: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if niceness is None:
        monkeypatch.delenv("NETLOOM_RUN_NICENESS")
    else:
        monkeypatch.setenv("NETLOOM_RUN_NICENESS", niceness)
    run_id, worker = start_run(store, 10_000)
    assert psutil.Process(worker.pid).nice() == expected
    control.stop(store, run_id)
    assert wait(store, run_id, 120).state == "stopped"


def test_killed_worker_reports_its_signal(store: Store) -> None:
    run_id, worker = start_run(store, 10_000)
    until(lambda: store.points(run_id).step, 60)
    os.kill(worker.pid, signal.SIGTERM)
    until(lambda: refresh(store, run_id).state == "failed", 20)
    assert "signal 15" in refresh(store, run_id).reason


def test_worker_that_cannot_import_reports_the_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # a new interpreter, as where there is no fork server
    monkeypatch.setattr(processes, "COMMAND", (sys.executable, "-c", "import netloom_missing"))
    project = moons()
    run_id = start(store, store.create_project(project), project)
    until(lambda: refresh(store, run_id).state == "failed", 20)
    assert refresh(store, run_id).reason == (
        "The worker process ended with exit code 1. Its last output: ModuleNotFoundError: No module named "
        "'netloom_missing'"
    )


def test_worker_without_assignment_requeues_its_run(store: Store) -> None:
    """The process that started it was killed between registering the worker and assigning the run."""
    store.create_run(store.create_project(moons()), moons())
    run = store.claim_next(Limits())
    assert run is not None
    child = processes.acquire_worker(store.home)
    assert isinstance(child, Forked)
    assert store.set_worker(run.id, str(run.claim), child.pid)
    child.stdin.close()
    assert child.wait(20) == 0
    requeued = store.run(run.id)
    assert (requeued.state, requeued.pid, requeued.claim) == ("waiting", None, None)


def test_leftover_processes_are_identified_by_their_log(store: Store, tmp_path: Path) -> None:
    """The environment is that of the fork server, which may have been started for another data folder."""
    with (store.home / "worker.log").open("w") as log:
        own = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=log, env={})
    foreign = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={})
    try:
        assert processes.is_started_for(store.home, psutil.Process(own.pid))
        assert not processes.is_started_for(store.home, psutil.Process(foreign.pid))
        assert not processes.is_started_for(tmp_path / "elsewhere", psutil.Process(own.pid))
    finally:
        for process in (own, foreign):
            process.communicate(b"\n")


def test_new_worker_trains_and_imports_nothing_before_the_first_point(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a GPU there is no fork server."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(processes, "COMMAND", (sys.executable, "-c", WORKER))
    project = digits_mlp(epochs=2)
    run_id = start(store, store.create_project(project), project)
    worker = control.started_workers()[run_id]
    assert isinstance(worker, subprocess.Popen)
    assert wait(store, run_id, 60).state == "finished"
    assert worker.wait(20) == 0
    imported = json.loads((store.home / "imported.json").read_text())
    assert [name for name in imported if name.startswith("netloom_")], "the code of the run"
    heavy = ("netloom.", "torch.", "sklearn", "safetensors", "pandas", "networkx")
    assert [name for name in imported if name.startswith(heavy)] == []
    assert COMPILER not in json.loads((store.home / "known.json").read_text()), "its import takes a second"


def test_next_run_takes_the_spare_worker(gpu_store: Store) -> None:
    warm(gpu_store)
    spare = processes.spare(gpu_store.home)
    assert spare is not None
    warm(gpu_store)
    assert processes.spare(gpu_store.home) is spare
    project = digits_mlp()
    run_id = start(gpu_store, gpu_store.create_project(project), project)
    assert control.started_workers()[run_id] is spare
    assert gpu_store.run(run_id).pid == spare.pid


def test_no_spare_worker_starts_during_first_steps(gpu_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    project = digits_mlp()
    start(gpu_store, gpu_store.create_project(project), project)
    warm(gpu_store)
    assert processes.spare(gpu_store.home) is None
    monkeypatch.setattr(control, "ALONE_S", 0.0)
    warm(gpu_store)
    spare = processes.spare(gpu_store.home)
    assert spare is not None
    assert spare.poll() is None
