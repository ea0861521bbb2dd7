"""A run saves itself often where that costs nothing, and seldom where it does."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from netloom.runs import run_reporter, start
from netloom.runs.resources.checkpoint_interval import CheckpointInterval
from netloom.store import open_store
from netloom.training import checkpoints
from tests.runs.examples import moons, trained_here


@pytest.mark.parametrize(
    ("write_s", "between_s", "share"),
    [
        (0.0, 5.0, 0.0),
        (0.1, 5.0, 0.0196),  # 5 s are more than it would have to wait
        (0.5, 9.5, 0.05),
        (20.0, 380.0, 0.05),
        (100.0, 600.0, 1 / 7),  # more than 600 s of work is never lost, whatever that costs
    ],
)
def test_writing_takes_a_twentieth_of_the_time_within_bounds(write_s: float, between_s: float, share: float) -> None:
    now = [0.0]
    spacing = CheckpointInterval(
        run_reporter.CHECKPOINT_EVERY_S,
        run_reporter.CHECKPOINT_AT_LAST_S,
        run_reporter.CHECKPOINT_SHARE,
        lambda: now[0],
    )
    written = 0.0
    ends: list[float] = []
    while len(ends) < 50:
        now[0] += between_s / 1_000
        if spacing.due():
            ends.append(now[0])
            with spacing.writing(checkpoint=True):
                now[0] += write_s
            written += write_s
    gaps = [later - earlier - write_s for earlier, later in pairwise(ends)]
    assert gaps == pytest.approx([between_s] * len(gaps), rel=0.01)
    steady = now[0] - ends[0]  # how long the first one takes is not known before it
    assert (written / steady) == pytest.approx(share, rel=0.05)


def test_what_is_kept_along_the_way_counts_as_well() -> None:
    now = [0.0]
    spacing = CheckpointInterval(5.0, 600.0, 0.05, lambda: now[0])
    for _ in range(3):
        with spacing.writing():
            now[0] += 1.0
    assert spacing.wait_s == pytest.approx(57.0)
    with spacing.writing(checkpoint=True):
        now[0] += 0.5
    assert spacing.wait_s == pytest.approx(9.5)


def test_a_slow_disk_takes_its_share_of_a_run_and_no_more(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real worker on a disk that takes 20 ms more for each checkpoint."""
    begins: list[float] = []
    ends: list[float] = []
    save = checkpoints.save

    def slow(*given: Any) -> None:
        begins.append(time.monotonic())
        time.sleep(0.02)
        save(*given)
        ends.append(time.monotonic())

    monkeypatch.setattr(checkpoints, "save", slow)
    monkeypatch.setattr(run_reporter, "CHECKPOINT_EVERY_S", 0.01)
    monkeypatch.setattr(run_reporter, "CHECKPOINT_SHARE", 0.2)  # so that it waits for seconds where the disk is busy
    monkeypatch.setenv("NETLOOM_KEPT_BYTES", "0")
    reporter = run_reporter.RunReporter
    ask = reporter.should_continue
    monkeypatch.setattr(reporter, "should_continue", lambda self, trainer: ask(self, trainer) and len(ends) < 3)
    store, project = open_store(home), moons(epochs=10_000)
    with trained_here():
        run_id = start(store, store.create_project(project), project)
    assert store.run(run_id).state == "stopped"
    # The last is that at the end of the run, which waits for nothing.
    for number in range(2):
        took = ends[number] - begins[number]
        assert begins[number + 1] - ends[number] >= 3.9 * took, (begins, ends)
    store.close()
