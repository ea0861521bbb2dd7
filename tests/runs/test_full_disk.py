"""What is advised where the disk is full is possible: whatever the run has written by then, it is resumed as told."""

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
from netloom.runs.resources.limits import no_room
from netloom.runs.run_reporter import RunReporter
from netloom.store import Store, open_store
from netloom.training import StartError
from tests.runs.disks import fill, small_disk
from tests.runs.examples import check_curves, moons, trained_here

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a disk of its own")
BEGINS = "it starts again, as it had no checkpoint yet"


@pytest.fixture
def tight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with small_disk(tmp_path / "tight", 16) as folder:
        monkeypatch.setenv("NETLOOM_HOME", str(folder))
        monkeypatch.delenv("NETLOOM_DATABASE_URL", raising=False)
        yield folder


def failed(store: Store, monkeypatch: pytest.MonkeyPatch, saved_at: int | None) -> str:
    """A run that finds its disk full in its second epoch, after a checkpoint at a step where there is to be one."""
    poll = RunReporter.should_continue

    def fills(link: RunReporter, loop: Any) -> bool:
        if loop.step == saved_at:
            link.checkpoint(loop)
        if loop.step == 15:
            fill(store.home / "filler")
            link.checkpoint(loop)
        return poll(link, loop)

    with monkeypatch.context() as patch:
        patch.setattr(RunReporter, "should_continue", fills)
        project = moons(epochs=3)
        with trained_here():
            run_id = start(store, store.create_project(project), project)
    return run_id


@pytest.mark.parametrize(
    ("saved_at", "goes_on"), [(None, BEGINS), (5, "it continues from its last checkpoint, at step 5")]
)
def test_a_run_is_resumed_as_the_sentence_says(
    tight: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], saved_at: int | None, goes_on: str
) -> None:
    store = open_store(tight)
    run_id = failed(store, monkeypatch, saved_at)
    run = store.run(run_id)
    assert run.state == "failed"
    assert run.reason == (
        f"The disk is full; free some space on it, and resume the run (Resume, or netloom runs resume {run_id[:8]}): "
        f"{goes_on}."
    )
    (tight / "filler").unlink()
    command = re.search(r"netloom (runs resume \w+)", run.reason)
    assert command is not None
    with trained_here():
        assert main(["--home", str(tight), *command[1].split()]) == 0
    assert "finished after 3 epochs" in capsys.readouterr().out
    assert store.run(run_id).state == "finished"
    check_curves(store.points(run_id), 3)
    log = (store.artifacts(run_id).local_directory() / "log.jsonl").read_text()
    assert ('"event": "restore", "step": 5' in log) == (saved_at == 5)
    assert main(["--home", str(tight), "runs", "resume", run_id]) != 0
    assert "This run is finished; only a run that failed or was stopped can be resumed." in capsys.readouterr().err
    store.close()


def test_nothing_is_started_on_a_full_disk_and_a_sentence_says_why(
    tight: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(tight)
    project = moons(epochs=1)
    project_id = store.create_project(project)
    write(tight.parent / "project.json", project)
    fill(tight / "filler")
    with pytest.raises(StartError, match=r"^The disk is full; free some space on it, and start the run again\.$"):
        start(store, project_id, project)
    assert store.runs() == []
    assert not list((tight / "runs").iterdir()), "nothing is left behind"
    assert main(["--home", str(tight), "train", str(tight.parent / "project.json")]) == 1
    said = capsys.readouterr().err
    assert "full; free some space" in said
    assert "Netloom itself failed" not in said
    store.close()


def test_a_limit_of_the_size_of_a_file_is_told_apart_from_a_full_disk(tmp_path: Path) -> None:
    """As the system itself raises it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            (tmp_path / "large").write_bytes(b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert no_room(caught.value) == "size"
    assert no_room(ValueError("no")) == ""
