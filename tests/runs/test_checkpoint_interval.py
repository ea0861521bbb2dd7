"""A run saves checkpoints often where that is cheap, and rarely where it is expensive."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from netloom.runs import start
from netloom.runs.execution import model_checkpoint
from netloom.runs.execution.run_reporter import RunReporter
from netloom.runs.resources.checkpoint_interval import CheckpointInterval
from netloom.store import open_store
from netloom.training.weights import checkpoints
from tests.runs.examples import moons, trained_here


@pytest.mark.parametrize(
    ("write_s", "between_s", "share"),
    [
        (0.0, 5.0, 0.0),
        (0.1, 5.0, 0.0196),  # the minimum of 5 s exceeds the computed wait
        (0.5, 9.5, 0.05),
        (20.0, 380.0, 0.05),
        (100.0, 600.0, 1 / 7),  # at most 600 s of work are lost, whatever the overhead
    ],
)
def test_checkpoint_overhead_is_5_percent_within_bounds(write_s: float, between_s: float, share: float) -> None:
    now = [0.0]
    interval = CheckpointInterval(
        model_checkpoint.CHECKPOINT_EVERY_S,
        model_checkpoint.CHECKPOINT_AT_LAST_S,
        model_checkpoint.CHECKPOINT_SHARE,
        lambda: now[0],
    )
    written = 0.0
    ends: list[float] = []
    while len(ends) < 50:
        now[0] += between_s / 1_000
        if interval.due():
            ends.append(now[0])
            with interval.writing(checkpoint=True):
                now[0] += write_s
            written += write_s
    gaps = [later - earlier - write_s for earlier, later in pairwise(ends)]
    assert gaps == pytest.approx([between_s] * len(gaps), rel=0.01)
    steady = now[0] - ends[0]  # the duration of the first write is unknown before it
    assert (written / steady) == pytest.approx(share, rel=0.05)


def test_snapshot_writes_count_toward_checkpoint_overhead() -> None:
    now = [0.0]
    interval = CheckpointInterval(5.0, 600.0, 0.05, lambda: now[0])
    for _ in range(3):
        with interval.writing():
            now[0] += 1.0
    assert interval.wait_s == pytest.approx(57.0)
    with interval.writing(checkpoint=True):
        now[0] += 0.5
    assert interval.wait_s == pytest.approx(9.5)


def test_slow_disk_does_not_exceed_checkpoint_share(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real worker on a disk that needs 20 ms more for each checkpoint."""
    begins: list[float] = []
    ends: list[float] = []
    save = checkpoints.save

    def save_slowly(*arguments: Any) -> None:
        begins.append(time.monotonic())
        time.sleep(0.02)
        save(*arguments)
        ends.append(time.monotonic())

    monkeypatch.setattr(checkpoints, "save", save_slowly)
    monkeypatch.setattr(model_checkpoint, "CHECKPOINT_EVERY_S", 0.01)
    monkeypatch.setattr(model_checkpoint, "CHECKPOINT_SHARE", 0.2)  # so that the waits stay short even on a busy disk
    monkeypatch.setenv("NETLOOM_KEPT_BYTES", "0")
    original = RunReporter.should_continue
    monkeypatch.setattr(RunReporter, "should_continue", lambda self, trainer: original(self, trainer) and len(ends) < 3)
    store, project = open_store(home), moons(epochs=10_000)
    with trained_here():
        run_id = start(store, store.create_project(project), project)
    assert store.run(run_id).state == "stopped"
    # The last checkpoint is written at the end of the run, without waiting.
    for number in range(2):
        write_s = ends[number] - begins[number]
        assert begins[number + 1] - ends[number] >= 3.9 * write_s, (begins, ends)
    store.close()
