"""Runs: their curves without gap or double point, their commands, and their folders."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.store import Command, Point, Run, Store, StoreError, open_store
from tests.networks import digits_mlp


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(home)
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store) -> Run:
    return store.create_run(store.create_project(digits_mlp()), digits_mlp())


def _rows(first: int, last: int, value: float = 1.0, split: str = "train") -> list[Point]:
    return [(step, step // 10, split, "loss", value, 100.0 + step) for step in range(first, last)]


def test_a_run_tells_how_it_is(store: Store, run: Run) -> None:
    assert (run.state, run.title, run.step, run.summary, run.heartbeat_at) == ("queued", "Digits", 0, {}, None)
    now = datetime.now(UTC)
    store.update_run(run.id, state="running", pid=7, started_at=now, total_steps=90)
    store.heartbeat(run.id, epoch=2, step=30, summary={"device": "cpu", "bad": "</script>"})
    found = store.run(run.id)
    assert (found.state, found.pid, found.started_at, found.total_steps) == ("running", 7, now, 90)
    assert (found.epoch, found.step, found.summary) == (2, 30, {"device": "cpu", "bad": "</script>"})
    assert found.heartbeat_at is not None
    assert found.heartbeat_at >= now


def test_the_newest_run_comes_first(store: Store, run: Run) -> None:
    second = store.create_run(run.project_id, digits_mlp())
    other = store.create_run(store.create_project(digits_mlp()), digits_mlp())
    assert [found.id for found in store.runs()] == [other.id, second.id, run.id]
    assert [found.id for found in store.runs(run.project_id)] == [second.id, run.id]
    assert len(store.runs(limit=1)) == 1


def test_points_come_back_in_the_order_in_which_they_came(store: Store, run: Run) -> None:
    store.add_points(run.id, _rows(10, 20))
    store.add_points(run.id, _rows(0, 10, split="validation"))
    found = store.points(run.id)
    assert found.step == [*range(10, 20), *range(10)]
    assert found.split == ["train"] * 10 + ["validation"] * 10
    assert (found.epoch[0], found.name[0], found.value[0], found.at[0]) == (1, "loss", 1.0, 110.0)
    more = store.points(run.id, after=found.last)
    assert (more.step, more.last) == ([], found.last)
    store.add_points(run.id, _rows(20, 21))
    assert store.points(run.id, after=found.last).step == [20]


def test_points_of_one_run_are_not_those_of_another(store: Store, run: Run) -> None:
    other = store.create_run(run.project_id, digits_mlp())
    store.add_points(run.id, _rows(0, 5))
    store.add_points(other.id, _rows(5, 9))
    store.drop_points_after(run.id, 2)
    assert store.points(run.id).step == [0, 1, 2]
    assert store.points(other.id).step == [5, 6, 7, 8]


def test_a_resumed_run_has_no_gap_and_no_double_point(store: Store, run: Run) -> None:
    store.add_points(run.id, _rows(0, 100))
    store.drop_points_after(run.id, 59)
    store.add_points(run.id, _rows(60, 120, value=2.0))
    found = store.points(run.id)
    assert found.step == list(range(120))
    assert found.value == [1.0] * 60 + [2.0] * 60


def test_who_reads_on_misses_no_point_that_was_written_anew(store: Store, run: Run) -> None:
    store.add_points(run.id, _rows(0, 100))
    last = store.points(run.id).last
    store.drop_points_after(run.id, 59)
    store.add_points(run.id, _rows(60, 120, value=2.0))
    assert store.points(run.id, after=last).step == list(range(60, 120))


def test_values_that_are_no_number_are_left_out(store: Store, run: Run) -> None:
    values = (math.nan, 1.0, math.inf, -math.inf, 2.0)
    store.add_points(run.id, [(i, 0, "train", "loss", value, 0.0) for i, value in enumerate(values)])
    store.add_points(run.id, [])
    assert store.points(run.id).value == [1.0, 2.0]


def test_points_are_added_all_or_none(store: Store, run: Run) -> None:
    bad: Point = (3, 0, None, "loss", 1.0, 0.0)  # type: ignore[assignment]
    with pytest.raises(StoreError):
        store.add_points(run.id, [*_rows(0, 3), bad])
    assert store.points(run.id).step == []


def test_commands_come_in_order_and_once(store: Store, run: Run) -> None:
    other = store.create_run(run.project_id, digits_mlp())
    store.command(run.id, "pause")
    store.command(run.id, "learning_rate", 0.5)
    store.command(other.id, "stop")
    assert store.take_commands(run.id) == [Command("pause", None), Command("learning_rate", 0.5)]
    assert store.take_commands(run.id) == []
    assert store.take_commands(other.id) == [Command("stop", None)]


def test_what_is_no_command_and_no_state_gets_a_sentence(store: Store, run: Run) -> None:
    gone = str(uuid.uuid4())
    for attempt in (
        lambda: store.command(run.id, "rm -rf"),
        lambda: store.update_run(run.id, state="lost"),
        lambda: store.update_run(gone, state="failed"),
        lambda: store.run(gone),
        lambda: store.command(gone, "stop"),
        lambda: store.add_points(gone, _rows(0, 3)),
    ):
        with pytest.raises(StoreError) as caught:
            attempt()
        assert "\n" not in str(caught.value)
        assert str(caught.value).endswith(".")


def test_a_finished_run_stays_finished(store: Store, run: Run) -> None:
    for state in ("running", "failed", "running", "stopped", "running", "finished"):
        store.update_run(run.id, state=state)
    with pytest.raises(StoreError, match="finished"):
        store.update_run(run.id, state="failed", reason="late")
    assert (store.run(run.id).state, store.run(run.id).reason) == ("finished", "")
    store.heartbeat(run.id, epoch=1, step=2, summary={})
    assert store.run(run.id).step == 2


def test_a_folder_is_named_by_its_uuid(store: Store, home: Path, run: Run) -> None:
    folder = store.run_folder(run.id)
    assert folder == home / "runs" / str(uuid.UUID(run.id))
    store.delete_run(run.id)
    store.delete_run(run.id)
    assert not folder.exists()


@pytest.mark.parametrize("run_id", ["../../x", "..", "", "/etc", "a" * 36, "../" * 12, "x\ny", f"{'0' * 32}/.."])
def test_a_run_id_that_is_a_path_is_refused(store: Store, home: Path, run_id: str) -> None:
    outside = home.parent / "x"
    outside.mkdir()
    for attempt in (store.run_folder, store.delete_run, store.run):
        with pytest.raises(StoreError, match="no such run"):
            attempt(run_id)
    assert outside.exists()
    assert home.exists()


def test_a_summary_is_kept_as_json(store: Store, run: Run) -> None:
    summary = {"a": [1, 2.5, None], "b": {"c": "𝕏\n\"'"}}
    store.update_run(run.id, summary=summary)
    assert json.dumps(store.run(run.id).summary) == json.dumps(summary)


def test_points_in_one_go_are_much_faster_than_one_by_one(store: Store, run: Run) -> None:
    rows = _rows(0, 1000)

    def _seconds(parts: list[list[Point]]) -> float:
        start = time.perf_counter()
        for part in parts:
            store.add_points(run.id, part)
        return time.perf_counter() - start

    together = min(_seconds([rows]) for _ in range(3))
    apart = _seconds([[row] for row in rows])
    assert apart / together >= 5


def test_reading_on_costs_what_is_new_not_what_is_there(store: Store, run: Run) -> None:
    store.add_points(run.id, _rows(0, 50_000))
    last = store.points(run.id).last
    store.add_points(run.id, _rows(50_000, 50_010))

    def _seconds(after: int) -> float:
        start = time.perf_counter()
        store.points(run.id, after)
        return time.perf_counter() - start

    assert min(_seconds(0) for _ in range(3)) / min(_seconds(last) for _ in range(3)) >= 10
