"""Several machines on one database, each of which is a process here that has a name of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from netloom.document import Project
from netloom.runs import control, supervisor
from netloom.store import Limits, Run, Store
from netloom.store.host import here, named
from tests.store import processes
from tests.store.processes import Child

FAR, NEAR = "far", "near"
SILENCE_S = 2.5


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process as another machine, which does not wait as long as one would, and starts no workers."""
    monkeypatch.setenv("NETLOOM_HOST", NEAR)
    monkeypatch.setattr(control, "SILENCE_S", SILENCE_S)
    monkeypatch.setattr(control, "advance", lambda store: None)


@pytest.fixture
def far(store: Store, run: Run) -> Iterator[Callable[[str], Child]]:
    """Starts a process on the other machine that takes the run."""
    children: list[Child] = []

    def begin(kind: str) -> Child:
        child = Child(processes.beat, store.home, kind, host=FAR)
        children.append(child)
        assert child.stdout.readline() == "ready\n", child.communicate()[1]
        return child

    yield begin
    for child in children:
        child.kill()
        if not child.stdout.closed:
            child.communicate()


def tended(store: Store, run: Run, seconds: float, until: str) -> Run:
    """Tend for some time, or until the run is in a state."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        supervisor.tend(store)
        found = store.run(run.id)
        if found.state == until:
            return found
        time.sleep(0.05)
    return store.run(run.id)


def test_each_machine_has_its_own_places_and_takes_other_runs(store: Store, project: Project, project_id: str) -> None:
    ids = {store.create_run(project_id, project, owner=str(number)).id for number in range(10)}
    children = [Child(processes.claim_here, store.home, 3, host=host) for host in (FAR, NEAR)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    (store.home / "go").touch()
    ends = [child.communicate() for child in children]
    assert [end[1] for end in ends] == ["", ""]
    taken = [[line.split() for line in end[0].splitlines()] for end in ends]
    assert [[host for _, host in lines] for lines in taken] == [[FAR] * 3, [NEAR] * 3]
    found = [run_id for lines in taken for run_id, _ in lines]
    assert len(set(found)) == 6
    assert set(found) < ids
    assert {run.host for run in store.runs()} == {FAR, NEAR, None}


def test_a_run_of_another_machine_is_left_alone_until_nothing_is_heard(
    store: Store, run: Run, far: Callable[[str], Child], near: None
) -> None:
    child = far("worker")
    found = tended(store, run, SILENCE_S + 1, "failed")
    assert (found.state, found.host, found.pid) == ("running", FAR, child.pid), "no process here has this number"
    start = time.monotonic()
    (store.home / "cut").touch()  # as if its network was cut
    while psutil.Process(child.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    found = tended(store, run, SILENCE_S + 10, "failed")
    assert found.state == "failed"
    assert time.monotonic() - start >= SILENCE_S - 0.2
    assert found.reason.startswith("The machine far that trained it was not heard from for 2.5 seconds;")

    store.enqueue(store.run(run.id))
    again = store.claim_next(Limits())
    assert again is not None
    assert (again.host, again.pid, again.heartbeat_at) == (NEAR, None, None)
    assert store.set_worker(run.id, str(again.claim), 1)
    os.kill(child.pid, signal.SIGCONT)
    said, problems = child.communicate()
    assert "This run is queued with another worker" in said, problems
    kept = store.run(run.id)
    assert (kept.host, kept.claim, kept.heartbeat_at) == (NEAR, again.claim, None), "what came late changed nothing"


def test_what_another_machine_took_and_never_began_is_given_back(
    store: Store, run: Run, far: Callable[[str], Child], near: None
) -> None:
    far("nothing").kill()
    assert tended(store, run, 0.5, "waiting").state == "queued"
    found = tended(store, run, SILENCE_S + 10, "waiting")
    assert (found.state, found.host, found.claim) == ("waiting", None, None)


def test_the_name_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETLOOM_HOST", raising=False)
    assert here() == here()
    assert named(here()) == os.uname().nodename
    assert named("node-3/1a2b") == "node-3"
    monkeypatch.setenv("NETLOOM_HOST", f"  {'x' * 200} ")
    assert here() == "x" * 128
