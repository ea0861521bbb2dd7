"""Workers and servers are really killed, disks and memory are really full: nothing that was saved is lost."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from netloom.cli.bench.server import Server
from netloom.compile import source
from netloom.data import prepare
from netloom.document import DataChoice, Project, Training, blank, read
from netloom.editing.live import Live
from netloom.runs import ACTIVE, control, processes, refresh, resume, start, stop, wait
from netloom.runs.resources import limits
from netloom.store import RunArtifacts, Store, open_store
from netloom.training.trainers.registry import build_trainer
from netloom.training.weights import checkpoints
from tests.networks import chain
from tests.preloaded import start_python
from tests.runs.disks import fill, small_disk
from tests.runs.examples import Recorder, check_curves, moons, trained_here, until, wait_for_workers
from tests.runs.hasty import NAME, WORKER
from tests.runs.test_processes import start_run
from tests.runs.test_resuming import same

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")
REPOSITORY = Path(__file__).parents[2]


def patience(seconds: float) -> float:
    """A time limit for a machine with one core per process, which grows with the load."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def small(**training: object) -> Project:
    """A run with all kinds of state: dropout, shuffling, batch norm, warmup, cosine schedule, EMA."""
    recipe = {"schedule": "cosine", "warmup": 20.0, "ema_decay": 0.99, "optimizer": "adamw", "epochs": 150}
    return moons(**{**recipe, "batch_size": 128, **training})


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that save checkpoints many times a second."""
    monkeypatch.setattr(processes, "COMMAND", WORKER)
    monkeypatch.chdir(REPOSITORY)


class Keeper:
    """A process that supervises runs and saves a document repeatedly, and can be killed and restarted."""

    def __init__(self, store: Store, project_id: str) -> None:
        self.store, self.project_id = store, project_id
        self.told = store.home / "keeper.txt"
        self.begin()

    def begin(self) -> None:
        before = self._lines().count("ready")
        with self.told.open("a") as output:
            output.write("\n")  # the last line of a killed process may have no end
        self.process = start_python("-m", NAME, "keeper", self.store.home, self.project_id, output=self.told)
        until(lambda: self._lines().count("ready") > before, patience(60))

    def _lines(self) -> list[str]:
        return self.told.read_text().split("\n") if self.told.exists() else []

    @property
    def saved(self) -> int:
        """The last revision reported as saved; the last line may be incomplete."""
        numbers = [line for line in self._lines()[:-1] if line.startswith("saved ")]
        return int(numbers[-1].split()[1]) if numbers else 0

    def resume(self, run_id: str) -> None:
        self.process.stdin.write(f"{run_id}\n".encode())
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


def check_everything_readable(store: Store, run_id: str, keeper: Keeper) -> None:
    """Every document and checkpoint on the disk is readable, and no edit that was reported as saved is missing."""
    saved = keeper.saved  # first, as it may continue to save
    with store.db.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA quick_check").scalar_one() == "ok"
    for row in store.list_projects():
        store.load(row.id)
    document = store.load(keeper.project_id)
    assert document.revision >= saved
    assert document.project.notes == (f"{document.revision} " * 200 if document.revision else "")
    folder = store.artifacts(run_id).local_directory()
    assert read(folder / "project.json") == store.load(store.run(run_id).project_id).project
    for checkpoint in (folder / "checkpoints").glob("[0-9]*"):
        state = torch.load(checkpoint / "state.pt", weights_only=True)
        assert str(state["step"]) == checkpoint.name.partition("-")[0]
        assert load_file(checkpoint / "model.safetensors")
    if (folder / "last.json").exists():
        assert checkpoints.load(RunArtifacts.in_directory(folder)) is not None
    for path in (*folder.glob("*.safetensors"), *folder.glob("kept/*.safetensors")):
        assert load_file(path)
    check_curves(store.points(run_id))


def curve(store: Store, run_id: str) -> list[tuple[int, int, str, str, float]]:
    """All points except the running training loss, whose number depends on timing."""
    points = store.points(run_id)
    rows = zip(points.step, points.epoch, points.split, points.name, points.value, strict=True)
    return sorted(point for point in rows if point[3] != "batch_loss")


@pytest.mark.parametrize(
    ("moments", "seed", "epochs"),
    [
        (1, 11, 200),  # kills both; test_worker.py kills only the worker
        # Kills the worker, then both while a worker starts.
        pytest.param(2, 3394, 200, marks=pytest.mark.long),
        pytest.param(50, 2, 900, marks=[pytest.mark.long, pytest.mark.timeout(1500)]),
    ],
)
def test_run_killed_at_any_time_ends_bit_identical(home: Path, moments: int, seed: int, epochs: int) -> None:
    store, project = open_store(home), small(epochs=epochs)
    undisturbed = build_trainer(project, source(project), prepare(project.data, home))
    recorder = Recorder()
    assert undisturbed.fit(recorder)
    expected = sorted(point for point in recorder.points if point[3] != "batch_loss")

    generator = random.Random(seed)
    keeper = Keeper(store, store.create_project(blank("Edited")))
    run_id = ""
    slowest_s, killed = 0.0, {"worker": 0, "server": 0, "both": 0}
    try:
        run_id = start(store, store.create_project(project), project)
        for share in sorted(generator.uniform(0, 0.9) for _ in range(moments)):
            target = generator.choice(list(killed))
            if generator.random() < 0.2:  # during startup
                time.sleep(generator.uniform(0, 1.5))
            else:
                step = share * undisturbed.total_steps
                until(lambda step=step: _reached(store, run_id) >= step, 120)  # type: ignore[misc]
                time.sleep(generator.uniform(0, 0.1))
            if store.run(run_id).state == "finished":
                break  # on a busy machine, the run continues while the next keeper starts
            slowest_s = max(slowest_s, _kill_and_resume(store, run_id, keeper, target))
            killed[target] += 1
        until(lambda: store.run(run_id).state not in ACTIVE, 120)
    finally:
        keeper.kill()
        _end(store, run_id)
    run = store.run(run_id)
    assert (run.state, run.reason) == ("finished", "")
    assert killed["worker"] + killed["both"] >= 1
    last = checkpoints.load(store.artifacts(run_id))
    assert last is not None
    assert same(last[1].weights, dict(undisturbed.model.state_dict()))
    assert same(checkpoints.weights(store.artifacts(run_id)), undisturbed.best.weights)
    assert curve(store, run_id) == expected
    print(f"killed {killed}; the slowest word took {slowest_s:.2f} s")
    store.close()


def _reached(store: Store, run_id: str) -> int:
    run = store.run(run_id)
    assert run.state in (*ACTIVE, "finished"), (run.state, run.reason)
    return run.step


def _kill_and_resume(store: Store, run_id: str, keeper: Keeper, target: str) -> float:
    """Kill, check all files, and resume. Returns the seconds until the failure of the run was recorded."""
    until(lambda: store.run(run_id).pid is not None, 30)
    pid = store.run(run_id).pid
    assert pid is not None
    if target != "worker":
        keeper.kill()
    # A worker that continues is suspended, so that its files do not change during the check.
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, signal.SIGSTOP if target == "server" else signal.SIGKILL)
    check_everything_readable(store, run_id, keeper)
    if target == "server":
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    if target != "worker":
        keeper.begin()
    if target == "server":
        return 0.0
    noticed_s = until(lambda: store.run(run_id).state not in ACTIVE, 60)
    if store.run(run_id).state == "finished":  # just before the kill
        return 0.0
    assert noticed_s <= patience(5)
    assert "killed" in store.run(run_id).reason
    keeper.resume(run_id)
    until(lambda: store.run(run_id).state in ACTIVE, 30)
    return noticed_s


def _end(store: Store, run_id: str) -> None:
    pid = store.run(run_id).pid if run_id else None
    if pid is not None and psutil.pid_exists(pid) and store.run(run_id).state in ACTIVE:
        os.kill(pid, signal.SIGKILL)
    wait_for_workers(30)


def _checkpoint(step: int) -> checkpoints.Checkpoint:
    return checkpoints.Checkpoint({"weight": torch.full((8,), float(step))}, {"step": step})


def _die_at(folder: Path, step: int, call: int) -> bool:
    """Save in a separate process that kills itself before call number `call` among those that change the disk. Returns
    false if there are fewer calls."""
    left = call

    def kill_at_call(original: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **keywords: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **keywords)

        return act

    def work() -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("replace", "fsync", "unlink", "rmdir"):
                patch.setattr(os, name, kill_at_call(getattr(os, name)))
            checkpoints.save(RunArtifacts.in_directory(folder), step, _checkpoint(step))

    child = get_context("fork").Process(target=work)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Python versions warn about forking with threads
        child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


@pytest.mark.parametrize("step", [3, 2], ids=["another step", "the same step"])
def test_kill_during_save_leaves_a_complete_checkpoint(tmp_path: Path, step: int) -> None:
    """At each call that changes the disk. A checkpoint of the same step must not be overwritten in place."""
    outcomes = []
    for call in range(100):
        folder = tmp_path / str(call)
        folder.mkdir()
        for earlier in (1, 2):
            checkpoints.save(RunArtifacts.in_directory(folder), earlier, _checkpoint(earlier))
        died = _die_at(folder, step, call)
        for checkpoint in (folder / "checkpoints").glob("[0-9]*"):
            assert torch.load(checkpoint / "state.pt", weights_only=True)["step"] == int(
                checkpoint.name.partition("-")[0]
            )
            assert load_file(checkpoint / "model.safetensors")
        loaded = checkpoints.load(RunArtifacts.in_directory(folder))
        assert loaded is not None
        assert loaded[0] == loaded[1].state["step"] == loaded[1].weights["weight"][0]
        assert loaded[0] in (2, step)
        outcomes.append(loaded[0])
        checkpoints.tidy(RunArtifacts.in_directory(folder))
        assert not list(folder.rglob(".*")), "nothing half is left"
        checkpoints.save(RunArtifacts.in_directory(folder), 4, _checkpoint(4))
        loaded = checkpoints.load(RunArtifacts.in_directory(folder))
        assert loaded is not None
        assert loaded[0] == 4
        assert len(list((folder / "checkpoints").iterdir())) == 2
        if not died:
            break
    assert call > 6
    assert outcomes == sorted(outcomes)
    assert outcomes[-1] == step


def test_orphaned_checkpoints_do_not_displace_the_current_one(tmp_path: Path) -> None:
    checkpoints.save(RunArtifacts.in_directory(tmp_path), 5, _checkpoint(5))
    for orphan in (20, 30):
        shutil.copytree(tmp_path / "checkpoints" / "5", tmp_path / "checkpoints" / str(orphan))
    checkpoints.save(RunArtifacts.in_directory(tmp_path), 7, _checkpoint(7))
    loaded = checkpoints.load(RunArtifacts.in_directory(tmp_path))
    assert loaded is not None
    assert loaded[0] == 7


@pytest.fixture
def full_home(tmp_path: Path) -> Iterator[Path]:
    """A data folder on a disk of 24 MiB."""
    with small_disk(tmp_path / "tight", 24) as folder:
        yield folder


@pytest.mark.long
def test_full_disk_fails_the_run_and_loses_nothing(full_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_HOME", str(full_home))
    store, project = open_store(full_home), small()
    undisturbed = build_trainer(project, source(project), prepare(project.data, full_home))
    assert undisturbed.fit(Recorder())
    live = Live(store, store.create_project(blank("Edited")))
    run_id = start(store, store.create_project(project), project)
    folder = store.artifacts(run_id).local_directory()
    until(lambda: (folder / "last.json").exists(), 120)
    fill(full_home / "filler")
    until(lambda: store.run(run_id).state not in ACTIVE, patience(30))
    run = store.run(run_id)
    assert run.state == "failed"
    assert "disk is full; free some space" in run.reason
    loaded = checkpoints.load(RunArtifacts.in_directory(folder))
    assert loaded is not None
    assert 0 < loaded[0] < undisturbed.total_steps
    assert not list(folder.rglob(".*"))
    _end(store, run_id)

    fill(full_home / "filler")
    messages: list[str] = []
    for number in range(50):
        messages = live.apply({"kind": "project", "notes": f"{number} " * 20_000})
        if messages:
            break
    assert messages
    assert messages[0].startswith("Not saved: ")
    assert "disk is full; free some space" in messages[0]
    assert live.project.notes.startswith(f"{number} ")
    notes = store.load(live.id).project.notes
    assert notes == live.project.notes[:0] or notes.startswith(f"{number - 1} ")

    (full_home / "filler").unlink()
    assert live.apply({"kind": "project", "notes": live.project.notes + "!"}) == []
    assert store.load(live.id).project == live.project
    with trained_here():
        resume(store, run_id)
    run = store.run(run_id)
    assert (run.state, run.reason) == ("finished", "")
    loaded = checkpoints.load(RunArtifacts.in_directory(folder))
    assert loaded is not None
    assert same(loaded[1].weights, dict(undisturbed.model.state_dict()))
    store.close()


# Each exhausts a resource, but only in a worker: the page traces its shapes too.
FORKS = """class Hostile(nn.Module):
    def forward(self, x):
        import os, sys, time
        if sys.argv[0] == "worker":
            for _ in range(40):
                if os.fork() == 0:
                    time.sleep(600)
                    os._exit(0)
            time.sleep(0.5)
        return x
"""
SLEEPS = """class Hostile(nn.Module):
    def forward(self, x):
        import sys, time
        if sys.argv[0] == "worker":
            time.sleep(600)
        return x
"""


def with_code(code: str) -> Project:
    return chain(
        ("Input", {"field": "features", "kind": "vector", "shape": [2]}),
        ("Code", {"source": code}),
        ("Linear", {"units": 2}),
        data=DataChoice(dataset="moons"),
        training=Training(epochs=10_000, device="cpu"),
    )


def wide(units: int, **training: Any) -> Project:
    return chain(
        ("Input", {"field": "features", "kind": "vector", "shape": [2]}),
        ("Linear", {"units": units}),
        ("ReLU", {}),
        ("Linear", {"units": 2}),
        data=DataChoice(dataset="moons"),
        training=Training(**{"epochs": 10_000, "device": "cpu", "batch_size": 500, **training}),
    )


HOSTILE: dict[str, tuple[Callable[[], Project], str, str, str]] = {
    "memory": (lambda: wide(1_000_000), "NETLOOM_RUN_MEMORY_GB", "1", "memory limit of a run, 1 GiB"),
    "time": (lambda: wide(4), "NETLOOM_RUN_HOURS", "0.001", "the time limit of a run"),
    "processes": (
        lambda: with_code(FORKS),
        "NETLOOM_RUN_PROCESSES",
        "16",
        "limit of 16 processes of a run",
    ),
    "disk": (lambda: wide(50_000), "NETLOOM_RUN_DISK_GB", "0.004", "size limit of a run, 4.1 MiB"),
}


@pytest.mark.parametrize(
    ("kinds", "has_pages"),
    [(["memory"], False), pytest.param(list(HOSTILE), True, marks=pytest.mark.long)],
    ids=["memory", "all"],
)
def test_run_over_a_limit_is_stopped_without_affecting_others(
    kinds: list[str], has_pages: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETLOOM_ALLOW_CODE", "1")
    monkeypatch.setenv("NETLOOM_WORKERS", "9")
    monkeypatch.setenv("NETLOOM_RUNS_EACH", "9")
    store, server = open_store(home), Server(home) if has_pages else None
    response_times: list[float] = []

    def ended(run_id: str) -> bool:
        time.sleep(0.1)  # the requests themselves load the machine
        start_s = time.monotonic()
        if server is None:
            return refresh(store, run_id).state not in ACTIVE
        with urllib.request.urlopen(server.url, timeout=30) as page:
            assert page.status == 200
        response_times.append(time.monotonic() - start_s)
        return store.run(run_id).state not in ACTIVE

    try:
        slow = with_code(SLEEPS.replace("600", "0.05"))  # it sleeps in each step and does not load the machine
        other_run = start(store, store.create_project(slow), slow)
        until(lambda: store.run(other_run).state == "running", 60)
        runs = {}
        for name in kinds:
            build, variable, value, _ = HOSTILE[name]
            with monkeypatch.context() as patch:
                patch.setenv(variable, value)
                project = build()
                runs[name] = start(store, store.create_project(project), project)
        for name, run_id in runs.items():
            until(lambda run_id=run_id: ended(run_id), 120)  # type: ignore[misc]
            run = store.run(run_id)
            assert run.state == ("stopped" if name == "time" else "failed"), (name, run.reason)
            assert HOSTILE[name][3] in run.reason, (name, run.reason)
            # Killed processes take a moment to disappear on a busy machine.
            until(lambda pid=run.pid: not any(_belongs(process, pid) for process in psutil.process_iter()), 10)  # type: ignore[misc]
        assert not has_pages or sorted(response_times)[len(response_times) // 2] < patience(0.25)
        assert store.run(other_run).state in ("running", "finished")
        stop(store, other_run)
        assert wait(store, other_run, 60).reason == ""
    finally:
        if server is not None:
            server.stop()
        for child in control.started_workers().values():  # another thread ends the workers of deleted runs
            if not processes.ended(child):  # an ended worker may be this very process
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
            child.wait(30)
        store.close()
    print(f"of {len(response_times)} requests the slowest took {max(response_times, default=0.0):.3f} s")


def _belongs(process: psutil.Process, group: int | None) -> bool:
    try:
        return os.getpgid(process.pid) == group != process.pid and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):
        return False


def test_unresponsive_worker_is_killed_at_the_time_limit(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "GRACE_S", 0.5)
    monkeypatch.setenv("NETLOOM_ALLOW_CODE", "1")
    monkeypatch.setenv("NETLOOM_RUN_HOURS", str(1 / 3600))
    store, project = open_store(home), with_code(SLEEPS)
    run_id = start(store, store.create_project(project), project)
    until(lambda: refresh(store, run_id).state not in ACTIVE, 60)
    assert refresh(store, run_id).state == "failed"
    assert "the time limit of a run" in refresh(store, run_id).reason
    _end(store, run_id)
    store.close()


def test_run_limits_are_read_from_documented_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MEMORY_GB": "1.5", "HOURS": "2", "PROCESSES": "3", "DISK_GB": "0.5"}.items():
        monkeypatch.setenv(f"NETLOOM_RUN_{name}", value)
        assert f"NETLOOM_RUN_{name}" in (REPOSITORY / "README.md").read_text()
    assert limits.declared() == limits.RunLimits(3 * 2**29, 7200.0, 3, 2**29)


def kill_process(process: psutil.Process) -> None:
    process.kill()
    with contextlib.suppress(psutil.Error):
        process.wait(20)


@pytest.mark.alone
def test_workers_survive_their_fork_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last test of this file, as a new fork server imports everything again."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # with a GPU, workers are not forked
    store = open_store(home)
    monkeypatch.setenv("NETLOOM_WORKERS", "2")
    monkeypatch.setenv("NETLOOM_RUNS_EACH", "2")
    (killed, second), (stopped, first) = start_run(store, 10_000), start_run(store, 10_000)
    server = psutil.Process(first.pid).ppid()
    assert psutil.Process(second.pid).ppid() == server
    kill_process(psutil.Process(server))
    for worker in (first, second):
        with pytest.raises(ChildProcessError):
            worker.wait(20)
    assert refresh(store, killed).state in ("queued", "running")
    kill_process(psutil.Process(second.pid))
    assert refresh(store, killed).state == "failed"
    assert "without an error message" in store.run(killed).reason
    stop(store, stopped)
    run = wait(store, stopped, 60)
    assert (run.state, run.reason) == ("stopped", "")
    store.close()
