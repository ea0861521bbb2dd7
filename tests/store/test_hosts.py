"""Several machines on one database; each machine is a process with its own host name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from netloom.document import Project
from netloom.runs import control, tend
from netloom.store import Limits, Run, Store
from netloom.store.host import current_host, named
from tests.store import processes
from tests.store.processes import Child

FAR, NEAR = "far", "near"
SILENCE_S = 2.5


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process as another machine, with a shorter timeout and without workers."""
    monkeypatch.setenv("NETLOOM_HOST", NEAR)
    monkeypatch.setattr(control, "SILENCE_S", SILENCE_S)
    monkeypatch.setattr(control, "advance", lambda store: None)


@pytest.fixture
def far(store: Store, run: Run) -> Iterator[Callable[[str], Child]]:
    """Starts a process on the other machine that claims the run."""
    children: list[Child] = []

    def start_child(kind: str) -> Child:
        child = Child(processes.beat, store.home, kind, host=FAR)
        children.append(child)
        assert child.stdout.readline() == "ready\n", child.communicate()[1]
        return child

    yield start_child
    for child in children:
        child.kill()
        if not child.stdout.closed:
            child.communicate()


def tend_until(store: Store, run: Run, seconds: float, until: str) -> Run:
    """Supervise the runs for some seconds, or until the run is in this state."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        tend(store)
        current = store.run(run.id)
        if current.state == until:
            return current
        time.sleep(0.1)
    return store.run(run.id)


def test_machines_have_separate_slots_and_claim_different_runs(store: Store, project: Project, project_id: str) -> None:
    ids = {store.create_run(project_id, project, owner=str(number)).id for number in range(10)}
    children = [Child(processes.claim_here, store.home, 3, host=host) for host in (FAR, NEAR)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    (store.home / "go").touch()
    outputs = [child.communicate() for child in children]
    assert [end[1] for end in outputs] == ["", ""]
    claims = [[line.split() for line in end[0].splitlines()] for end in outputs]
    assert [[host for _, host in lines] for lines in claims] == [[FAR] * 3, [NEAR] * 3]
    claimed_ids = [run_id for lines in claims for run_id, _ in lines]
    assert len(set(claimed_ids)) == 6
    assert set(claimed_ids) < ids
    assert {run.host for run in store.runs()} == {FAR, NEAR, None}


def test_remote_run_fails_only_after_missing_heartbeats(
    store: Store, run: Run, far: Callable[[str], Child], near: None
) -> None:
    child = far("worker")
    current = tend_until(store, run, SILENCE_S + 0.5, "failed")
    assert (current.state, current.host, current.pid) == ("running", FAR, child.pid), "no process here has this number"
    start = time.monotonic()
    (store.home / "cut").touch()  # simulates a network failure
    while psutil.Process(child.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    current = tend_until(store, run, SILENCE_S + 10, "failed")
    assert current.state == "failed"
    assert time.monotonic() - start >= SILENCE_S - 0.2
    assert current.reason.startswith("The machine far that trained this run has not responded for 2.5 seconds;")

    store.enqueue(store.run(run.id))
    reclaimed = store.claim_next(Limits())
    assert reclaimed is not None
    assert (reclaimed.host, reclaimed.pid, reclaimed.heartbeat_at) == (NEAR, None, None)
    assert store.set_worker(run.id, str(reclaimed.claim), 1)
    os.kill(child.pid, signal.SIGCONT)
    output, problems = child.communicate()
    assert "This run is queued with another worker" in output, problems
    stored = store.run(run.id)
    assert (stored.host, stored.claim, stored.heartbeat_at) == (NEAR, reclaimed.claim, None), (
        "what came late changed nothing"
    )


def test_run_claimed_but_never_started_is_requeued(
    store: Store, run: Run, far: Callable[[str], Child], near: None
) -> None:
    far("nothing").kill()
    assert tend_until(store, run, 0.5, "waiting").state == "queued"
    requeued = tend_until(store, run, SILENCE_S + 10, "waiting")
    assert (requeued.state, requeued.host, requeued.claim) == ("waiting", None, None)


def test_host_name_comes_from_environment_or_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETLOOM_HOST", raising=False)
    assert current_host() == current_host()
    assert named(current_host()) == os.uname().nodename
    assert named("node-3/1a2b") == "node-3"
    monkeypatch.setenv("NETLOOM_HOST", f"  {'x' * 200} ")
    assert current_host() == "x" * 128
