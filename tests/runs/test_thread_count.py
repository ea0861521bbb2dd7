"""The number of threads of a run: by the free cores of its machine, as the user says, or as before."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netloom.core import processor
from netloom.core.processor import OtherLoad
from netloom.runs import refresh, start, wait
from netloom.runs.resources.thread_count import choose_threads
from netloom.store import open_store
from netloom.training.speed import device
from netloom.training.speed.device import requested_threads, threads
from tests.runs.examples import moons

BUSY = "import time\nend = time.monotonic() + 20\nwhile time.monotonic() < end: pass"


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(device, "cores", lambda: 8)
    monkeypatch.setattr("netloom.runs.resources.thread_count.cores", lambda: 8)


@pytest.mark.parametrize(
    ("runs", "busy_cores", "expected"),
    [(1, 0.0, 7), (1, 1.0, 7), (1, 1.9, 6), (1, 5.2, 3), (1, 9.0, 1), (2, 0.5, 3), (2, 4.0, 2), (20, 0.0, 1)],
)
def test_threads_leave_the_cores_that_others_keep_busy(runs: int, busy_cores: float, expected: int) -> None:
    assert threads(runs, busy_cores) == expected
    chosen = choose_threads(runs, busy_cores)
    assert chosen.threads == expected
    assert chosen.is_usual == (threads(runs) == expected)
    assert f"keep {busy_cores:.1f} busy" in chosen.sentence


def test_omp_num_threads_of_the_user_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in (("4", 4), ("3,2", 3), ("", None), ("0", None), ("many", None)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert requested_threads() == expected, text
    monkeypatch.setenv("OMP_NUM_THREADS", "12")
    assert threads(5, 7.0) == choose_threads(5, 7.0, recorded=2).threads == 12
    assert "OMP_NUM_THREADS" in choose_threads(1, 0.0).sentence


def test_continued_run_keeps_its_threads() -> None:
    assert choose_threads(1, 0.0, recorded=2).threads == 2
    assert choose_threads(1, 0.0, recorded=64).threads == 7, "more than this machine has"


def test_busy_process_counts_and_own_work_does_not() -> None:
    child = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        others = OtherLoad([child.pid])
        load, used_s, start_s = OtherLoad(), time.process_time(), time.monotonic()
        while time.monotonic() < start_s + 1.0:
            pass
        busy_cores, other_cores = load.busy_cores(), others.busy_cores()
        own = (time.process_time() - used_s) / (time.monotonic() - start_s)
    finally:
        child.kill()
        child.wait()
    # However busy the machine is, the child or others take the rest of its cores.
    assert busy_cores > 0.3
    assert other_cores < busy_cores - 0.1
    assert busy_cores + own < processor.cores() + 0.2


def test_quota_of_a_container_limits_the_cores(tmp_path: Path) -> None:
    groups, own = tmp_path / "groups", tmp_path / "own"
    inner = groups / "user" / "task"
    inner.mkdir(parents=True)
    assert processor.quota_cores(groups, own) is None, "without control groups"
    own.write_text("0::/user/task\n")
    (inner / "cpu.max").write_text("max 100000\n")
    assert processor.quota_cores(groups, own) is None
    (groups / "user" / "cpu.max").write_text("250000 100000\n")
    assert processor.quota_cores(groups, own) == 2.5, "that of a group around it"
    own.write_text("0::/\n")
    (groups / "cpu.max").write_text("50000 100000\n")
    assert processor.quota_cores(groups, own) == 0.5
    (groups / "cpu.max").unlink()
    (groups / "cpu").mkdir()
    for name, value in (("quota", "300000"), ("period", "100000")):
        (groups / "cpu" / f"cpu.cfs_{name}_us").write_text(value)
    assert processor.quota_cores(groups, own) == 3.0, "version 1"


def test_run_uses_and_records_the_threads_of_the_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    store, project = open_store(home), moons(epochs=1)
    run_id = start(store, store.create_project(project), project)
    wait(store, run_id, 60)
    run, artifacts = refresh(store, run_id), store.artifacts(run_id)
    assert run.state == "finished", run.reason
    assert artifacts.environment()["threads"] == 2
    sentence = "Training uses 2 threads, as set by OMP_NUM_THREADS."
    assert run.summary.notes == (sentence,)
    folder = artifacts.local_directory()
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert sentence in [line.get("said") for line in lines]
