"""Workers and servers are killed for real, disks and memories are full for real: nothing that was kept is lost."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
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
from netloom.training import checkpoints
from netloom.training.trainers.registry import build_trainer
from tests.networks import chain
from tests.runs.disks import fill, small_disk
from tests.runs.examples import Recorder, check_curves, moons, trained_here, until
from tests.runs.hasty import NAME, WORKER
from tests.runs.test_resuming import same

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")
REPOSITORY = Path(__file__).parents[2]


def patience(seconds: float) -> float:
    """A limit that holds on a machine with a core for each process, and grows where many want the same core."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def small(**training: object) -> Project:
    """All that has a state of its own: dropout, shuffling, batch norm, warm-up, a cosine, and a running mean."""
    recipe = {"schedule": "cosine", "warmup": 20.0, "average": 0.99, "optimizer": "adamw", "epochs": 150}
    return moons(**{**recipe, "batch_size": 128, **training})


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that save themselves many times a second."""
    monkeypatch.setattr(processes, "COMMAND", WORKER)
    monkeypatch.chdir(REPOSITORY)


class Keeper:
    """A process that tends runs and saves a document over and over, and can be killed and started again."""

    def __init__(self, store: Store, project_id: str) -> None:
        self.store, self.project_id = store, project_id
        self.told = store.home / "keeper.txt"
        self.begin()

    def begin(self) -> None:
        command = [sys.executable, "-m", NAME, "keeper", str(self.store.home), self.project_id]
        before = self._lines().count("ready")
        with self.told.open("a") as told:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=told, text=True, cwd=REPOSITORY)
        until(lambda: self._lines().count("ready") > before, patience(60))

    def _lines(self) -> list[str]:
        return self.told.read_text().split("\n") if self.told.exists() else []

    @property
    def saved(self) -> int:
        """The last revision that it called saved; its last line may be half a line."""
        numbers = [line for line in self._lines()[:-1] if line.startswith("saved ")]
        return int(numbers[-1].split()[1]) if numbers else 0

    def resume(self, run_id: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(run_id + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


def whole(store: Store, run_id: str, keeper: Keeper) -> None:
    """Every document and every checkpoint on the disk can be read, and no edit that was called saved is missing."""
    saved = keeper.saved  # first, as it may go on saving
    with store.db.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA quick_check").scalar_one() == "ok"
    for row in store.list_projects():
        store.load(row.id)
    found = store.load(keeper.project_id)
    assert found.revision >= saved
    assert found.project.notes == (f"{found.revision} " * 200 if found.revision else "")
    folder = store.artifacts(run_id).local_directory()
    assert read(folder / "project.json") == store.load(store.run(run_id).project_id).project
    for home in (folder / "checkpoints").glob("[0-9]*"):
        state = torch.load(home / "state.pt", weights_only=True)
        assert str(state["step"]) == home.name.partition("-")[0]
        assert load_file(home / "model.safetensors")
    if (folder / "last.json").exists():
        assert checkpoints.load(RunArtifacts.in_directory(folder)) is not None
    for path in (*folder.glob("*.safetensors"), *folder.glob("kept/*.safetensors")):
        assert load_file(path)
    check_curves(store.points(run_id))


def curve(store: Store, run_id: str) -> list[tuple[int, int, str, str, float]]:
    """All points but the means over as many steps as were taken in a quarter of a second."""
    points = store.points(run_id)
    found = zip(points.step, points.epoch, points.split, points.name, points.value, strict=True)
    return sorted(point for point in found if point[3] != "batch_loss")


@pytest.mark.parametrize(
    ("moments", "seed", "epochs"),
    [
        (3, 14, 300),  # the worker, both while a worker starts, the server
        pytest.param(50, 2, 900, marks=[pytest.mark.long, pytest.mark.timeout(1500)]),
    ],
)
def test_killed_at_any_moment_it_ends_as_if_nothing_had_happened(
    home: Path, moments: int, seed: int, epochs: int
) -> None:
    store, project = open_store(home), small(epochs=epochs)
    undisturbed = build_trainer(project, source(project), prepare(project.data, home))
    seen = Recorder()
    assert undisturbed.fit(seen)
    expected = sorted(point for point in seen.points if point[3] != "batch_loss")

    dice = random.Random(seed)
    keeper = Keeper(store, store.create_project(blank("Edited")))
    run_id = ""
    slowest, killed = 0.0, {"worker": 0, "server": 0, "both": 0}
    try:
        run_id = start(store, store.create_project(project), project)
        for share in sorted(dice.uniform(0, 0.9) for _ in range(moments)):
            target = dice.choice(list(killed))
            if dice.random() < 0.2:  # while it starts
                time.sleep(dice.uniform(0, 1.5))
            else:
                step = share * undisturbed.total_steps
                until(lambda step=step: _reached(store, run_id) >= step, 120)  # type: ignore[misc]
                time.sleep(dice.uniform(0, 0.1))
            if store.run(run_id).state == "finished":
                break  # where the machine is busy, it goes on for long while another keeper starts
            slowest = max(slowest, _strike(store, run_id, keeper, target))
            killed[target] += 1
        until(lambda: store.run(run_id).state not in ACTIVE, 120)
    finally:
        keeper.kill()
        _end(store, run_id)
    run = store.run(run_id)
    assert (run.state, run.reason) == ("finished", "")
    assert killed["worker"] + killed["both"] >= 1
    found = checkpoints.load(store.artifacts(run_id))
    assert found is not None
    assert same(found[1].weights, dict(undisturbed.model.state_dict()))
    assert same(checkpoints.weights(store.artifacts(run_id)), undisturbed.best.weights)
    assert curve(store, run_id) == expected
    print(f"killed {killed}; the slowest word took {slowest:.2f} s")
    store.close()


def _reached(store: Store, run_id: str) -> int:
    run = store.run(run_id)
    assert run.state in (*ACTIVE, "finished"), (run.state, run.reason)
    return run.step


def _strike(store: Store, run_id: str, keeper: Keeper, target: str) -> float:
    """Kill, look at all that is there, and let it go on. Returns the seconds until the run's failure was noted."""
    until(lambda: store.run(run_id).pid is not None, 30)
    pid = store.run(run_id).pid
    assert pid is not None
    if target != "worker":
        keeper.kill()
    # Where it goes on, what is looked at must not move meanwhile.
    with contextlib.suppress(ProcessLookupError):  # it ended a moment ago
        os.kill(pid, signal.SIGSTOP if target == "server" else signal.SIGKILL)
    whole(store, run_id, keeper)
    if target == "server":
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    if target != "worker":
        keeper.begin()
    if target == "server":
        return 0.0
    took = until(lambda: store.run(run_id).state not in ACTIVE, 60)
    if store.run(run_id).state == "finished":  # a moment before it was killed
        return 0.0
    assert took <= patience(5)
    assert "killed" in store.run(run_id).reason
    keeper.resume(run_id)
    until(lambda: store.run(run_id).state in ACTIVE, 30)
    return took


def _end(store: Store, run_id: str) -> None:
    pid = store.run(run_id).pid if run_id else None
    if pid is not None and psutil.pid_exists(pid) and store.run(run_id).state in ACTIVE:
        os.kill(pid, signal.SIGKILL)
    for child in control.started_workers().values():
        child.wait(30)


def _checkpoint(step: int) -> checkpoints.Checkpoint:
    return checkpoints.Checkpoint({"weight": torch.full((8,), float(step))}, {"step": step})


def _die_at(folder: Path, step: int, call: int) -> bool:
    """Save in a process of its own that kills itself before its call number `call` of those that change the disk.
    Returns false where there are not that many."""
    left = call

    def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*given: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **named)

        return act

    def work() -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("replace", "fsync", "unlink", "rmdir"):
                patch.setattr(os, name, deadly(getattr(os, name)))
            checkpoints.save(RunArtifacts.in_directory(folder), step, _checkpoint(step))

    child = get_context("fork").Process(target=work)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of a fork beside threads
        child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


@pytest.mark.parametrize("step", [3, 2], ids=["another step", "the same step"])
def test_a_stop_between_write_and_rename_leaves_a_whole_checkpoint(tmp_path: Path, step: int) -> None:
    """At each call that changes the disk. Where the step is the same, what is pointed to must not be written over."""
    outcomes = []
    for call in range(100):
        folder = tmp_path / str(call)
        folder.mkdir()
        for earlier in (1, 2):
            checkpoints.save(RunArtifacts.in_directory(folder), earlier, _checkpoint(earlier))
        died = _die_at(folder, step, call)
        for home in (folder / "checkpoints").glob("[0-9]*"):
            assert torch.load(home / "state.pt", weights_only=True)["step"] == int(home.name.partition("-")[0])
            assert load_file(home / "model.safetensors")
        found = checkpoints.load(RunArtifacts.in_directory(folder))
        assert found is not None
        assert found[0] == found[1].state["step"] == found[1].weights["weight"][0]
        assert found[0] in (2, step)
        outcomes.append(found[0])
        checkpoints.tidy(RunArtifacts.in_directory(folder))
        assert not list(folder.rglob(".*")), "nothing half is left"
        checkpoints.save(RunArtifacts.in_directory(folder), 4, _checkpoint(4))
        found = checkpoints.load(RunArtifacts.in_directory(folder))
        assert found is not None
        assert found[0] == 4
        assert len(list((folder / "checkpoints").iterdir())) == 2
        if not died:
            break
    assert call > 6
    assert outcomes == sorted(outcomes)
    assert outcomes[-1] == step


def test_checkpoints_that_were_never_pointed_to_do_not_push_out_the_one_that_is(tmp_path: Path) -> None:
    checkpoints.save(RunArtifacts.in_directory(tmp_path), 5, _checkpoint(5))
    for orphan in (20, 30):
        shutil.copytree(tmp_path / "checkpoints" / "5", tmp_path / "checkpoints" / str(orphan))
    checkpoints.save(RunArtifacts.in_directory(tmp_path), 7, _checkpoint(7))
    found = checkpoints.load(RunArtifacts.in_directory(tmp_path))
    assert found is not None
    assert found[0] == 7


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[Path]:
    """A data folder on a disk of 24 MiB."""
    with small_disk(tmp_path / "tight", 24) as folder:
        yield folder


def test_a_full_disk_fails_a_run_in_words_and_loses_nothing(tight: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_HOME", str(tight))
    store, project = open_store(tight), small()
    undisturbed = build_trainer(project, source(project), prepare(project.data, tight))
    assert undisturbed.fit(Recorder())
    live = Live(store, store.create_project(blank("Edited")))
    run_id = start(store, store.create_project(project), project)
    folder = store.artifacts(run_id).local_directory()
    until(lambda: (folder / "last.json").exists(), 120)
    fill(tight / "filler")
    until(lambda: store.run(run_id).state not in ACTIVE, patience(30))
    run = store.run(run_id)
    assert run.state == "failed"
    assert "disk is full; free some space" in run.reason
    found = checkpoints.load(RunArtifacts.in_directory(folder))
    assert found is not None
    assert 0 < found[0] < undisturbed.total_steps
    assert not list(folder.rglob(".*"))
    _end(store, run_id)

    fill(tight / "filler")
    told: list[str] = []
    for number in range(50):
        told = live.apply({"kind": "project", "notes": f"{number} " * 20_000})
        if told:
            break
    assert told
    assert told[0].startswith("Not saved: ")
    assert "disk is full; free some space" in told[0]
    assert live.project.notes.startswith(f"{number} ")
    kept = store.load(live.id).project.notes
    assert kept == live.project.notes[:0] or kept.startswith(f"{number - 1} ")

    (tight / "filler").unlink()
    assert live.apply({"kind": "project", "notes": live.project.notes + "!"}) == []
    assert store.load(live.id).project == live.project
    with trained_here():
        resume(store, run_id)
    run = store.run(run_id)
    assert (run.state, run.reason) == ("finished", "")
    found = checkpoints.load(RunArtifacts.in_directory(folder))
    assert found is not None
    assert same(found[1].weights, dict(undisturbed.model.state_dict()))
    store.close()


# Each takes what it can in a worker, and nowhere else; the page looks at its shapes too.
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


def hostile(code: str) -> Project:
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
    "memory": (lambda: wide(1_000_000), "NETLOOM_RUN_MEMORY_GB", "1", "more memory than a run may have here, 1 GB"),
    "time": (lambda: wide(4), "NETLOOM_RUN_HOURS", "0.001", "as long as a run may keep its place here"),
    "processes": (lambda: hostile(FORKS), "NETLOOM_RUN_PROCESSES", "16", "more processes than a run may have here, 16"),
    "disk": (lambda: wide(50_000), "NETLOOM_RUN_DISK_GB", "0.004", "more of the disk than a run may have here, 4.1 MB"),
}


@pytest.mark.parametrize(
    "kinds", [["memory"], pytest.param(list(HOSTILE), marks=pytest.mark.long)], ids=["memory", "all"]
)
def test_a_run_that_takes_too_much_is_ended_in_words_and_harms_nobody(
    kinds: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETLOOM_ALLOW_CODE", "1")
    monkeypatch.setenv("NETLOOM_WORKERS", "9")
    monkeypatch.setenv("NETLOOM_RUNS_EACH", "9")
    store, server = open_store(home), Server(home)
    answered: list[float] = []

    def ended(run_id: str) -> bool:
        begun = time.monotonic()
        with urllib.request.urlopen(server.url, timeout=30) as page:
            assert page.status == 200
        answered.append(time.monotonic() - begun)
        return store.run(run_id).state not in ACTIVE

    try:
        slow = hostile(SLEEPS.replace("600", "0.05"))  # that it takes the machine from nobody either
        innocent = start(store, store.create_project(slow), slow)
        until(lambda: store.run(innocent).state == "running", 60)
        runs = {}
        for name in kinds:
            make, variable, value, _ = HOSTILE[name]
            with monkeypatch.context() as said:
                said.setenv(variable, value)
                project = make()
                runs[name] = start(store, store.create_project(project), project)
        for name, run_id in runs.items():
            until(lambda run_id=run_id: ended(run_id), 120)  # type: ignore[misc]
            run = store.run(run_id)
            assert run.state == ("stopped" if name == "time" else "failed"), (name, run.reason)
            assert HOSTILE[name][3] in run.reason, (name, run.reason)
            assert not [process for process in psutil.process_iter() if _belongs(process, run.pid)]
        assert sorted(answered)[len(answered) // 2] < patience(0.25)
        assert store.run(innocent).state in ("running", "finished")
        stop(store, innocent)
        assert wait(store, innocent, 60).reason == ""
    finally:
        server.stop()
        for child in control.started_workers().values():  # another thread ends those of deleted runs
            if not processes.ended(child):  # one that has ended may have been this very process
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
            child.wait(30)
        store.close()
    print(f"of {len(answered)} requests the slowest took {max(answered):.3f} s")


def _belongs(process: psutil.Process, group: int | None) -> bool:
    try:
        return os.getpgid(process.pid) == group != process.pid and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):
        return False


def test_a_worker_that_hears_nothing_is_ended_when_its_time_is_over(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "GRACE_S", 0.5)
    monkeypatch.setenv("NETLOOM_ALLOW_CODE", "1")
    monkeypatch.setenv("NETLOOM_RUN_HOURS", str(1 / 3600))
    store, project = open_store(home), hostile(SLEEPS)
    run_id = start(store, store.create_project(project), project)
    until(lambda: refresh(store, run_id).state not in ACTIVE, 60)
    assert refresh(store, run_id).state == "failed"
    assert "as long as a run may keep its place here" in refresh(store, run_id).reason
    _end(store, run_id)
    store.close()


def test_limits_are_said_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MEMORY_GB": "1.5", "HOURS": "2", "PROCESSES": "3", "DISK_GB": "0.5"}.items():
        monkeypatch.setenv(f"NETLOOM_RUN_{name}", value)
        assert f"NETLOOM_RUN_{name}" in (REPOSITORY / "README.md").read_text()
    assert limits.declared() == limits.RunLimits(3 * 2**29, 7200.0, 3, 2**29)
