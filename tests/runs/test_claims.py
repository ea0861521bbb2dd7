"""Several servers, terminals and workers look at the same run: whoever read it too long ago changes nothing.

Each race is played out step by step: what another server does meanwhile happens exactly between the look of this one
and its word. In the last test real servers and workers meet, and some of them are killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from netloom.document import Project, read
from netloom.runs import ACTIVE, continuation, control, processes, resume, run_reporter, start, supervisor, worker
from netloom.runs.resources.limits import declared
from netloom.runs.search import sweep_trials, sweeps
from netloom.store import ClaimLostError, Limits, QueueFullError, Run, RunArtifacts, Store, StoreError, open_store
from netloom.training import checkpoints
from tests.runs.examples import check_curves, moons, until
from tests.store.states import put

GONE = 2**22 + 1  # no process has this number: it is above the largest that Linux gives
ASLEEP_S = 3600.0  # longer than any test
KEEPER = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from netloom.store import open_store\n"
    "from netloom.runs import keep\n"
    "store = open_store(Path(sys.argv[1]))\n"
    "thread = keep(store)\n"
    "time.sleep(300)\n"
)


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(home)
    yield opened
    opened.close()


@pytest.fixture
def project() -> Project:
    return moons(epochs=3)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is started and no sweep process; the queue is moved by hand, and sweeps within this process."""
    monkeypatch.setattr(control, "advance", lambda store: None)
    monkeypatch.setattr(supervisor, "ensure_sweep_process", sweep_trials.advance_sweeps)


@pytest.fixture
def dead(store: Store, project: Project, idle: None) -> Run:
    """A run whose worker is gone, as each of two servers has just read it."""
    run_id = start(store, store.create_project(project), project)
    return taken(store, run_id)


def taken(store: Store, run_id: str) -> Run:
    """The run with a worker that is gone already."""
    run = store.claim_next(Limits())
    assert run is not None
    assert run.id == run_id
    assert store.set_worker(run.id, str(run.claim), GONE)
    store.change_state(run.id, "running", holding=run.claim)
    return store.run(run_id)


def put_back(store: Store, run: Run) -> Callable[..., None]:
    """What the other server does: it finds the worker gone, puts the run back and gives it to a new worker."""

    def act(*_: Any) -> None:
        store.change_state(run.id, "failed", holding=run.claim, reason="The worker process was killed.")
        store.enqueue(store.run(run.id))
        again = store.claim_next(Limits())
        assert again is not None
        assert store.set_worker(again.id, str(again.claim), os.getpid())

    return act


def test_a_run_that_was_put_back_is_not_failed_by_a_server_that_looked_before(
    store: Store, dead: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "end_group", put_back(store, dead))
    found = control.look(store, dead)
    assert (found.state, found.pid, found.reason) == ("queued", os.getpid(), "")
    assert found.claim != dead.claim


def test_nor_where_its_time_was_over(store: Store, dead: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "end_group", put_back(store, dead))
    alive = subprocess.Popen([sys.executable, "-c", "input()", processes.MODULE], stdin=subprocess.PIPE)
    store.update_run(dead.id, claimed_at=datetime.now(UTC) - timedelta(days=30), pid=alive.pid)
    found = control.look(store, store.run(dead.id))
    alive.communicate(b"\n")
    assert (found.state, found.pid, found.reason) == ("queued", os.getpid(), "")


def test_a_worker_that_is_told_a_claim_of_before_touches_nothing(store: Store, dead: Run) -> None:
    folder = store.artifacts(dead.id).local_directory()
    put_back(store, dead)()
    now = store.run(dead.id)
    store.change_state(now.id, "running", holding=now.claim)
    store.add_points(now.id, [(1, 0, "train", "loss", 0.5, 0.0)], holding=now.claim)
    (folder / ".writing-now").write_text("of the other worker")
    before = store.run(dead.id)
    assert worker.main(str(store.home), dead.id, str(dead.claim), declared()) == 0
    assert store.run(dead.id) == before
    assert store.points(dead.id).step == [1]
    assert (folder / ".writing-now").exists()
    assert not (folder / "log.jsonl").exists()


def test_a_worker_that_loses_its_run_saves_no_checkpoint_and_ends_without_a_word(store: Store, dead: Run) -> None:
    """It slept for so long that another machine gave its run to another worker; it wakes within an epoch."""
    taken_at: list[str] = []

    def through(link: Any) -> Any:
        poll = link.should_continue

        def act(loop: Any) -> bool:
            if loop.step >= 20 and not taken_at:
                put_back(store, store.run(dead.id))()
                taken_at.append(str(store.run(dead.id).claim))
                link.checkpoint(loop)
            return bool(poll(loop))

        link.should_continue = act
        return link

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "BEAT_S", ASLEEP_S)  # its other threads sleep as well
        patch.setattr(run_reporter, "POLL_S", ASLEEP_S)
        assert worker.main(str(store.home), dead.id, dead.claim, declared(), through) == 0
    found = store.run(dead.id)
    assert (found.state, found.claim) == ("queued", taken_at[0])
    assert checkpoints.load(store.artifacts(dead.id)) is None


def test_what_is_asked_of_a_worker_is_not_taken_by_whoever_resumes_too_late(store: Store, dead: Run) -> None:
    put(store, dead.id, "failed")
    failed = store.run(dead.id)
    control.requeue(store, failed)
    again = store.claim_next(Limits())
    assert again is not None
    control.stop(store, dead.id)
    with pytest.raises(ClaimLostError, match="This run is queued with another worker"):
        control.requeue(store, failed)
    assert [item.kind for item in store.take_commands(dead.id)] == ["stop"]


def test_of_two_that_extend_at_once_the_second_does_not_undo_the_first(
    store: Store, dead: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.artifacts(dead.id).local_directory()
    checkpoints.save(RunArtifacts.in_directory(folder), 3, checkpoints.Checkpoint({}, {"step": 3}))
    put(store, dead.id, "finished", epoch=3)
    refresh = supervisor.refresh

    def first_of_two(known: Store, run_id: str) -> Run:
        seen = refresh(known, run_id)
        monkeypatch.setattr(continuation, "refresh", refresh)
        continuation.extend(store, run_id, 2)
        return seen

    monkeypatch.setattr(continuation, "refresh", first_of_two)
    with pytest.raises(StoreError):
        continuation.extend(store, dead.id, 5)
    assert read(folder / "project.json").training.epochs == 5, "3 and the 2 of the first"
    assert store.run(dead.id).about["extended"] == [{"at": 3, "epochs": 5}]


def swept(store: Store, project: Project, trials: int = 1) -> tuple[str, str]:
    """A sweep and the run of its first trial."""
    project_id = store.create_project(project)
    space = {"training.seed": {"choices": list(range(trials))}}
    plan = sweeps.plan(project, space, trials=trials, sampler="grid")
    sweep_id = sweeps.start(store, project_id, project, plan)
    return sweep_id, str(store.trials(sweep_id)[0].run_id)


def test_a_trial_whose_workers_die_at_once_is_taken_up_as_often_as_it_may(
    store: Store, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server looks whenever a worker was started, and finds it gone; each time is counted."""
    begun: list[str] = []

    def dies_at_once(known: Store) -> None:
        run = store.claim_next(Limits())
        if run is None:
            return
        begun.append(run.id)
        assert len(begun) < 20, "for ever"
        assert store.set_worker(run.id, str(run.claim), GONE)
        control.look(store, store.run(run.id))
        sweep_trials.advance_sweeps(store)

    monkeypatch.setattr(control, "advance", dies_at_once)
    monkeypatch.setattr(supervisor, "ensure_sweep_process", sweep_trials.advance_sweeps)
    sweep_id, run_id = swept(store, project)
    assert begun == [run_id] * (1 + sweep_trials.RETRIES)
    assert store.run(run_id).about["retries"] == sweep_trials.RETRIES
    [trial] = store.trials(sweep_id)
    assert (trial.state, store.sweep(sweep_id).state) == ("failed", "finished")


def test_a_trial_that_was_taken_up_meanwhile_is_not_noted_as_failed(
    store: Store, project: Project, idle: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_id, run_id = swept(store, project)
    run = taken(store, run_id)
    store.change_state(run_id, "failed", holding=run.claim, reason="The loss became nan.")

    def resumed(*known: Any) -> None:
        monkeypatch.setattr(sweep_trials, "result", lambda *again: None)
        resume(store, run_id)

    monkeypatch.setattr(sweep_trials, "result", resumed)
    sweep_trials.advance_sweeps(store)
    assert store.run(run_id).state == "waiting"
    assert [trial.state for trial in store.trials(sweep_id)] == ["running"]
    assert store.sweep(sweep_id).state == "running"


def test_a_sweep_that_is_stopped_meanwhile_makes_no_more_trials(
    store: Store, project: Project, idle: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_id, run_id = swept(store, project, trials=3)
    run = taken(store, run_id)
    store.change_state(run_id, "failed", holding=run.claim, reason="The loss became nan.")
    ask = sweep_trials.suggest

    def stopped(*known: Any) -> Any:
        store.stop_sweep(sweep_id)
        return ask(*known)

    monkeypatch.setattr(sweep_trials, "suggest", stopped)
    sweep_trials.advance_sweeps(store)
    assert len(store.trials(sweep_id)) == 1
    assert len(store.runs()) == 1
    assert len(list((store.home / "runs").iterdir())) == 1, "and leaves no folder"


def test_two_that_start_at_once_do_not_have_more_waiting_than_may(
    store: Store, project: Project, idle: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETLOOM_WAITING_EACH", "0")
    project_id = store.create_project(project)
    room = store.room

    def other(owner: str, limits: Limits) -> int:
        left = room(owner, limits)
        monkeypatch.setattr(store, "room", room)
        start(store, project_id, project)
        return left

    monkeypatch.setattr(store, "room", other)
    with pytest.raises(QueueFullError, match="at most 1 can train and 0 wait"):
        start(store, project_id, project)
    assert len(store.runs()) == 1


def started(store: Store, run_id: str) -> int:
    lines = (store.artifacts(run_id).local_directory() / "log.jsonl").read_text().splitlines()
    return sum(json.loads(line)["event"] == "start" for line in lines)


def test_two_servers_a_queue_and_kills(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep and runs wait in one queue; workers are killed and a server with them. Only a run whose worker was killed
    fails, each trial is taken up once for each kill, and every worker starts once."""
    for name, value in {"WORKERS": "2", "RUNS_EACH": "2", "WAITING_EACH": "9"}.items():
        monkeypatch.setenv(f"NETLOOM_{name}", value)

    def over(run_id: str) -> bool:
        return store.run(run_id).state not in ACTIVE

    def kill(run_id: str) -> None:
        """Once it is on its way."""
        until(lambda: store.points(run_id).step or over(run_id), 120)
        run = store.run(run_id)
        if run.state in ACTIVE and run.pid is not None:
            os.kill(run.pid, signal.SIGKILL)
            kills[run_id] += 1

    # Nothing is started by this process: what the servers start is theirs.
    monkeypatch.setattr(control, "advance", lambda store: None)
    project = moons(epochs=80)
    project_id = store.create_project(project)
    space = {"training.seed": {"choices": [1, 2]}}
    plan = sweeps.plan(project, space, trials=2, sampler="grid", parallel=2)
    alone = [start(store, project_id, project) for _ in range(2)]
    sweep_id = sweeps.start(store, project_id, project, plan)
    kills: Counter[str] = Counter()
    servers = [subprocess.Popen([sys.executable, "-c", KEEPER, str(home)]) for _ in range(2)]
    try:
        kill(alone[0])
        servers[0].kill()
        until(lambda: bool(store.trials(sweep_id)), 120)
        kill(str(store.trials(sweep_id)[0].run_id))
        until(lambda: store.sweep(sweep_id).state != "running" and all(map(over, alone)), 120)
    finally:
        for process in servers:
            process.kill()
            process.wait()
        for run in store.active_runs():
            if run.pid:
                os.kill(run.pid, signal.SIGKILL)
    assert [trial.state for trial in store.trials(sweep_id)] == ["complete"] * 2
    for run in store.runs():
        killed = kills[run.id]
        if run.sweep_id:
            assert (run.state, run.about.get("retries", 0), started(store, run.id)) == ("finished", killed, 1 + killed)
        else:
            assert (run.state, started(store, run.id)) == ("failed" if killed else "finished", 1), run.reason
        check_curves(store.points(run.id), None if run.state == "failed" else 80)
    assert sum(kills.values()) >= 1, "they were faster than any kill"
