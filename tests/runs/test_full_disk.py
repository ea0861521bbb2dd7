"""The advice for a full disk works: whatever the run has written by then, it resumes as the message says."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netloom.cli import main
from netloom.document import write
from netloom.runs import start
from netloom.runs.execution.run_reporter import RunReporter
from netloom.runs.resources.limits import storage_problem
from netloom.store import Store, open_store
from netloom.training import StartError
from tests.runs.disks import fill, small_disk
from tests.runs.examples import check_curves, moons, trained_here

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a disk of its own")
STARTS_AGAIN = "it starts again, as it had no checkpoint yet"


@pytest.fixture
def full_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with small_disk(tmp_path / "tight", 16) as folder:
        monkeypatch.setenv("NETLOOM_HOME", str(folder))
        monkeypatch.delenv("NETLOOM_DATABASE_URL", raising=False)
        yield folder


def run_on_full_disk(store: Store, monkeypatch: pytest.MonkeyPatch, saved_at: int | None) -> str:
    """A run whose disk becomes full in its second epoch, optionally after a checkpoint at step `saved_at`."""
    poll = RunReporter.should_continue

    def fill_at_step_15(link: RunReporter, loop: Any) -> bool:
        if loop.step == saved_at:
            link.checkpoint.save(loop)
        if loop.step == 15:
            fill(store.home / "filler")
            link.checkpoint.save(loop)
        return poll(link, loop)

    with monkeypatch.context() as patch:
        patch.setattr(RunReporter, "should_continue", fill_at_step_15)
        project = moons(epochs=3)
        with trained_here():
            run_id = start(store, store.create_project(project), project)
    return run_id


@pytest.mark.parametrize(
    ("saved_at", "goes_on"), [(None, STARTS_AGAIN), (5, "it continues from its last checkpoint, at step 5")]
)
def test_run_on_full_disk_resumes_as_its_message_says(
    full_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    saved_at: int | None,
    goes_on: str,
) -> None:
    store = open_store(full_home)
    run_id = run_on_full_disk(store, monkeypatch, saved_at)
    run = store.run(run_id)
    assert run.state == "failed"
    assert run.reason == (
        f"The disk is full; free some space on it, and resume the run (Resume, or netloom runs resume {run_id[:8]}): "
        f"{goes_on}."
    )
    (full_home / "filler").unlink()
    command = re.search(r"netloom (runs resume \w+)", run.reason)
    assert command is not None
    with trained_here():
        assert main(["--home", str(full_home), *command[1].split()]) == 0
    assert "finished after 3 epochs" in capsys.readouterr().out
    assert store.run(run_id).state == "finished"
    check_curves(store.points(run_id), 3)
    log = (store.artifacts(run_id).local_directory() / "log.jsonl").read_text()
    assert ('"event": "restore", "step": 5' in log) == (saved_at == 5)
    assert main(["--home", str(full_home), "runs", "resume", run_id]) != 0
    assert "This run is finished; only a run that failed or was stopped can be resumed." in capsys.readouterr().err
    store.close()


def test_start_on_full_disk_is_refused_and_leaves_nothing(full_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(full_home)
    project = moons(epochs=1)
    project_id = store.create_project(project)
    write(full_home.parent / "project.json", project)
    fill(full_home / "filler")
    with pytest.raises(StartError, match=r"^The disk is full; free some space on it, and start the run again\.$"):
        start(store, project_id, project)
    assert store.runs() == []
    assert not list((full_home / "runs").iterdir()), "nothing is left behind"
    assert main(["--home", str(full_home), "train", str(full_home.parent / "project.json")]) == 1
    message = capsys.readouterr().err
    assert "full; free some space" in message
    assert "Netloom itself failed" not in message
    store.close()


def test_file_size_limit_differs_from_full_disk(tmp_path: Path) -> None:
    """With the error that the system raises."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            (tmp_path / "large").write_bytes(b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert storage_problem(caught.value) == "size"
    assert storage_problem(ValueError("no")) == ""
