"""Several servers, terminals and workers access the same run: whoever has read it too long ago changes nothing.

Each race is replayed step by step: the action of the other server happens exactly between the read and the write of
this one. In the last test, real servers and workers compete, and some of them are killed.
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

import psutil
import pytest

from netloom.document import Project, read
from netloom.runs import ACTIVE, claimed_run, control, processes, resume, start, supervisor
from netloom.runs.derived import continuation
from netloom.runs.execution import store_thread
from netloom.runs.resources.limits import declared
from netloom.runs.search import sweep_process, sweep_trials, sweeps
from netloom.runs.search.samplers import suggest
from netloom.store import ClaimLostError, Limits, QueueFullError, Run, RunArtifacts, Store, StoreError, open_store
from netloom.store.run_end import RunEnd
from netloom.store.run_summary import Extension
from netloom.training.weights import checkpoints
from tests.runs.examples import check_curves, moons, until
from tests.store.states import put

GONE = 2**22 + 1  # no process has this PID: it is above the largest that Linux assigns
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
    """No worker and no sweep process starts; the tests advance the queue, and sweeps advance in this process."""
    monkeypatch.setattr(control, "advance", lambda store: None)
    monkeypatch.setattr(sweep_process, "ensure_sweep_process", sweep_trials.advance_sweeps)


@pytest.fixture
def dead(store: Store, project: Project, idle: None) -> Run:
    """A run whose worker is gone, as each of two servers has just read it."""
    run_id = start(store, store.create_project(project), project)
    return claimed_by_dead_worker(store, run_id)


def claimed_by_dead_worker(store: Store, run_id: str) -> Run:
    """Claim the run for a worker that is already gone."""
    run = store.claim_next(Limits())
    assert run is not None
    assert run.id == run_id
    assert store.set_worker(run.id, str(run.claim), GONE)
    store.change_state(run.id, "running", holding=run.claim)
    return store.run(run_id)


def requeued_elsewhere(store: Store, run: Run) -> Callable[..., None]:
    """The action of the other server: it notices that the worker is gone, requeues the run and assigns it to a new
    worker."""

    def act(*_: Any) -> None:
        store.end_run(run.id, RunEnd("lost", "The worker process was killed."), holding=run.claim)
        store.enqueue(store.run(run.id))
        reclaimed = store.claim_next(Limits())
        assert reclaimed is not None
        assert store.set_worker(reclaimed.id, str(reclaimed.claim), os.getpid())

    return act


def test_requeued_run_is_not_failed_by_stale_server(store: Store, dead: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "end_group", requeued_elsewhere(store, dead))
    run = control.check_run(store, dead)
    assert (run.state, run.pid, run.reason) == ("queued", os.getpid(), "")
    assert run.claim != dead.claim


def test_requeued_run_is_not_failed_by_stale_time_limit(
    store: Store, dead: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "end_group", requeued_elsewhere(store, dead))
    alive = subprocess.Popen([sys.executable, "-c", "input()", processes.MODULE], stdin=subprocess.PIPE)
    store.update_run(dead.id, claimed_at=datetime.now(UTC) - timedelta(days=30), pid=alive.pid)
    run = control.check_run(store, store.run(dead.id))
    alive.communicate(b"\n")
    assert (run.state, run.pid, run.reason) == ("queued", os.getpid(), "")


def test_worker_with_stale_claim_changes_nothing(store: Store, dead: Run) -> None:
    folder = store.artifacts(dead.id).local_directory()
    requeued_elsewhere(store, dead)()
    current = store.run(dead.id)
    store.change_state(current.id, "running", holding=current.claim)
    store.add_points(current.id, [(1, 0, "train", "loss", 0.5, 0.0)], holding=current.claim)
    (folder / ".writing-now").write_text("of the other worker")
    before = store.run(dead.id)
    assert claimed_run.train_claimed_run(str(store.home), dead.id, str(dead.claim), declared()) == 0
    assert store.run(dead.id) == before
    assert store.points(dead.id).step == [1]
    assert (folder / ".writing-now").exists()
    assert not (folder / "log.jsonl").exists()


def test_worker_that_loses_its_claim_exits_without_checkpoint(store: Store, dead: Run) -> None:
    """The worker slept for so long that another machine assigned its run to another worker; it wakes up within an
    epoch."""
    claims: list[str] = []

    def through(link: Any) -> Any:
        poll = link.should_continue

        def act(loop: Any) -> bool:
            if loop.step >= 20 and not claims:
                requeued_elsewhere(store, store.run(dead.id))()
                claims.append(str(store.run(dead.id).claim))
                link.checkpoint.save(loop)
            return bool(poll(loop))

        link.should_continue = act
        return link

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claimed_run, "BEAT_S", ASLEEP_S)  # its other threads sleep too
        patch.setattr(store_thread, "POLL_S", ASLEEP_S)
        # The worker ends leftover child processes: here, those of other tests, such as idle workers of the job pool.
        patch.setattr(psutil.Process, "children", lambda process, recursive=False: [])
        assert claimed_run.train_claimed_run(str(store.home), dead.id, dead.claim, declared(), through) == 0
    run = store.run(dead.id)
    assert (run.state, run.claim) == ("queued", claims[0])
    assert checkpoints.load(store.artifacts(dead.id)) is None


def test_late_resume_keeps_the_pending_stop_command(store: Store, dead: Run) -> None:
    put(store, dead.id, "failed")
    failed = store.run(dead.id)
    control.requeue(store, failed)
    reclaimed = store.claim_next(Limits())
    assert reclaimed is not None
    control.stop(store, dead.id)
    with pytest.raises(ClaimLostError, match="This run is queued with another worker"):
        control.requeue(store, failed)
    assert [item.kind for item in store.take_commands(dead.id)] == ["stop"]


def test_concurrent_extend_does_not_undo_the_first(store: Store, dead: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store.artifacts(dead.id).local_directory()
    checkpoints.save(RunArtifacts.in_directory(folder), 3, checkpoints.Checkpoint({}, {"step": 3}))
    put(store, dead.id, "finished", epoch=3)
    refresh = supervisor.refresh

    def extend_first(opened: Store, run_id: str) -> Run:
        run = refresh(opened, run_id)
        monkeypatch.setattr(continuation, "refresh", refresh)
        continuation.extend(store, run_id, 2)
        return run

    monkeypatch.setattr(continuation, "refresh", extend_first)
    with pytest.raises(StoreError):
        continuation.extend(store, dead.id, 5)
    assert read(folder / "project.json").training.epochs == 5, "3 and the 2 of the first"
    assert store.run(dead.id).about.extended == (Extension(at=3, epochs=5),)


def start_sweep(store: Store, project: Project, trials: int = 1) -> tuple[str, str]:
    """Start a sweep. Returns its ID and that of the run of its first trial."""
    project_id = store.create_project(project)
    space = {"training.seed": {"choices": list(range(trials))}}
    plan = sweeps.plan(project, space, trials=trials, sampler="grid")
    sweep_id = sweeps.start(store, project_id, project, plan)
    return sweep_id, str(store.trials(sweep_id)[0].run_id)


def test_trial_with_dying_workers_is_retried_up_to_the_limit(
    store: Store, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each start, another server checks the worker and notices that it is gone; each attempt counts."""
    started_ids: list[str] = []

    def start_dead_worker(opened: Store) -> None:
        run = store.claim_next(Limits())
        if run is None:
            return
        started_ids.append(run.id)
        assert len(started_ids) < 20, "for ever"
        assert store.set_worker(run.id, str(run.claim), GONE)
        control.check_run(store, store.run(run.id))
        sweep_trials.advance_sweeps(store)

    monkeypatch.setattr(control, "advance", start_dead_worker)
    monkeypatch.setattr(sweep_process, "ensure_sweep_process", sweep_trials.advance_sweeps)
    sweep_id, run_id = start_sweep(store, project)
    assert started_ids == [run_id] * (1 + sweep_trials.RETRIES)
    assert store.run(run_id).about.retries == sweep_trials.RETRIES
    [trial] = store.trials(sweep_id)
    assert (trial.state, store.sweep(sweep_id).state) == ("failed", "finished")


@pytest.mark.parametrize(
    ("end", "state", "retries"),
    [
        (RunEnd("lost", "Nobody has heard of it."), "running", 1),
        (RunEnd("pruned", "Its loss was not promising."), "pruned", 0),
        (RunEnd("failed", "The machine learning library raised an error."), "failed", 0),
        (RunEnd("stopped", "Pruned: by hand."), "failed", 0),
    ],
)
def test_result_of_a_trial_depends_on_the_cause_not_on_the_sentence(
    store: Store, project: Project, idle: None, end: RunEnd, state: str, retries: int
) -> None:
    sweep_id, run_id = start_sweep(store, project)
    store.end_run(run_id, end, holding=claimed_by_dead_worker(store, run_id).claim)
    [trial] = sweep_trials.record_ended_trials(store, sweep_id)
    assert (trial.state, store.run(run_id).about.retries) == (state, retries)


@pytest.mark.parametrize(
    ("ended", "reason", "state", "retries"),
    [
        ("failed", "The worker process was killed (signal 9), by someone.", "running", 1),
        ("failed", "The machine far that trained this run has not responded for 60 seconds.", "running", 1),
        ("stopped", "Pruned: after epoch 3 its loss of 0.7 was not promising.", "pruned", 0),
        ("failed", "The loss became nan.", "failed", 0),
    ],
)
def test_trial_that_ended_in_an_earlier_version_is_recognized_by_its_sentence(
    store: Store, project: Project, idle: None, ended: str, reason: str, state: str, retries: int
) -> None:
    sweep_id, run_id = start_sweep(store, project)
    put(store, run_id, ended, reason=reason)
    assert store.run(run_id).about.end_cause is None
    [trial] = sweep_trials.record_ended_trials(store, sweep_id)
    assert (trial.state, store.run(run_id).about.retries) == (state, retries)


def test_trial_resumed_concurrently_is_not_marked_failed(
    store: Store, project: Project, idle: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_id, run_id = start_sweep(store, project)
    run = claimed_by_dead_worker(store, run_id)
    store.end_run(run_id, RunEnd("failed", "The loss became nan."), holding=run.claim)

    def resume_first(*arguments: Any) -> None:
        monkeypatch.setattr(sweep_trials, "result", lambda *ignored: None)
        resume(store, run_id)

    monkeypatch.setattr(sweep_trials, "result", resume_first)
    sweep_trials.advance_sweeps(store)
    assert store.run(run_id).state == "waiting"
    assert [trial.state for trial in store.trials(sweep_id)] == ["running"]
    assert store.sweep(sweep_id).state == "running"


def test_sweep_stopped_concurrently_starts_no_more_trials(
    store: Store, project: Project, idle: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_id, run_id = start_sweep(store, project, trials=3)
    run = claimed_by_dead_worker(store, run_id)
    store.end_run(run_id, RunEnd("failed", "The loss became nan."), holding=run.claim)

    def stop_first(*arguments: Any) -> Any:
        store.stop_sweep(sweep_id)
        return suggest(*arguments)

    monkeypatch.setattr(sweep_trials, "suggest", stop_first)
    sweep_trials.advance_sweeps(store)
    assert len(store.trials(sweep_id)) == 1
    assert len(store.runs()) == 1
    assert len(list((store.home / "runs").iterdir())) == 1, "and leaves no folder"


def test_concurrent_starts_respect_the_queue_limit(
    store: Store, project: Project, idle: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETLOOM_WAITING_EACH", "0")
    project_id = store.create_project(project)
    free_run_count = store.free_run_count

    def start_another(owner: str, limits: Limits) -> int:
        free = free_run_count(owner, limits)
        monkeypatch.setattr(store, "free_run_count", free_run_count)
        start(store, project_id, project)
        return free

    monkeypatch.setattr(store, "free_run_count", start_another)
    with pytest.raises(QueueFullError, match="at most 1 can train and 0 wait"):
        start(store, project_id, project)
    assert len(store.runs()) == 1


def start_count(store: Store, run_id: str) -> int:
    lines = (store.artifacts(run_id).local_directory() / "log.jsonl").read_text().splitlines()
    return sum(json.loads(line)["event"] == "start" for line in lines)


def test_killed_workers_and_servers_lose_no_queued_run(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep and single runs share one queue; workers and one server are killed. Only single runs whose worker was
    killed fail, each trial is retried once per kill, and every worker starts once."""
    for name, value in {"WORKERS": "2", "RUNS_EACH": "2", "WAITING_EACH": "9"}.items():
        monkeypatch.setenv(f"NETLOOM_{name}", value)

    def has_ended(run_id: str) -> bool:
        return store.run(run_id).state not in ACTIVE

    def kill(run_id: str) -> None:
        """Kill the worker after its first points."""
        until(lambda: store.points(run_id).step or has_ended(run_id), 120)
        run = store.run(run_id)
        if run.state in ACTIVE and run.pid is not None:
            os.kill(run.pid, signal.SIGKILL)
            kills[run_id] += 1

    # This process starts no workers; only the servers do.
    monkeypatch.setattr(control, "advance", lambda store: None)
    project = moons(epochs=80)
    project_id = store.create_project(project)
    space = {"training.seed": {"choices": [1, 2]}}
    plan = sweeps.plan(project, space, trials=2, sampler="grid", parallel=2)
    single_runs = [start(store, project_id, project) for _ in range(2)]
    sweep_id = sweeps.start(store, project_id, project, plan)
    kills: Counter[str] = Counter()
    servers = [subprocess.Popen([sys.executable, "-c", KEEPER, str(home)]) for _ in range(2)]
    try:
        kill(single_runs[0])
        servers[0].kill()
        until(lambda: bool(store.trials(sweep_id)), 120)
        kill(str(store.trials(sweep_id)[0].run_id))
        until(lambda: store.sweep(sweep_id).state != "running" and all(map(has_ended, single_runs)), 120)
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
            assert (run.state, run.about.retries, start_count(store, run.id)) == (
                "finished",
                killed,
                1 + killed,
            )
        else:
            assert (run.state, start_count(store, run.id)) == ("failed" if killed else "finished", 1), run.reason
        check_curves(store.points(run.id), None if run.state == "failed" else 80)
    assert sum(kills.values()) >= 1, "they were faster than any kill"
