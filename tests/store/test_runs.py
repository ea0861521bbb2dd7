"""Runs on each database: curves without missing or duplicate points, commands delivered once, folders."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest

from netloom.document import Project, blank
from netloom.store import ClaimLostError, Command, Point, Run, Store, StoreError, open_store
from netloom.store.run_summary import RunOrigin, RunSummary
from netloom.store.states import BEFORE, STATES
from tests.store.states import put


def points(*steps: int, value: float = 1.0, split: str = "train") -> list[Point]:
    return [(step, step // 10, split, "loss", value, 1000.0 + step) for step in steps]


def test_new_run_waits(store: Store, project: Project, project_id: str) -> None:
    run = store.create_run(project_id, project, "With dropout")
    assert (run.project_id, run.title, run.state, run.reason) == (project_id, "With dropout", "waiting", "")
    assert (run.pid, run.epoch, run.step, run.total_steps, run.summary) == (None, 0, 0, 0, RunSummary())
    assert (run.started_at, run.ended_at, run.heartbeat_at) == (None, None, None)
    assert datetime.now(UTC) - run.created_at < timedelta(minutes=1)
    assert store.run(run.id) == run
    assert store.create_run(project_id, project).title == project.name


def test_runs_are_listed_newest_first(store: Store, project: Project, project_id: str) -> None:
    other = store.create_project(blank("Other"))
    ids = [store.create_run(owner, project).id for owner in (project_id, other, project_id)]
    assert [run.id for run in store.runs()] == ids[::-1]
    assert [run.id for run in store.runs(project_id)] == [ids[2], ids[0]]
    assert [run.id for run in store.runs(limit=1)] == [ids[2]]


def test_update_changes_only_the_given_fields(store: Store, run: Run) -> None:
    titles = {"c": "𝕏\n\"'", "a": "</script>"}
    summary = RunSummary(steps_per_s=1.5, titles=titles, speeds=(1, 2.5), eta_s=None)
    put(store, run.id, "running", pid=77, total_steps=10**10, summary=summary)
    updated = store.run(run.id)
    assert (updated.state, updated.pid, updated.total_steps, updated.summary) == ("running", 77, 10**10, summary)
    assert list(updated.summary.titles) == ["c", "a"], "in the same order"
    assert (updated.title, updated.created_at) == (run.title, run.created_at)


def test_heartbeat_updates_the_progress(store: Store, run: Run) -> None:
    now = datetime.now(UTC)
    put(store, run.id, "running", pid=7, started_at=now, total_steps=90)
    store.heartbeat(run.id, epoch=3, step=2**40, summary=RunSummary(rate=5))
    updated = store.run(run.id)
    assert (updated.epoch, updated.step, updated.summary) == (3, 2**40, RunSummary(rate=5))
    assert (updated.state, updated.pid, updated.started_at, updated.total_steps) == ("running", 7, now, 90)
    assert updated.heartbeat_at is not None
    assert now <= updated.heartbeat_at < now + timedelta(minutes=1)


def test_timestamps_are_converted_to_utc(store: Store, run: Run) -> None:
    moment = datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=9)))
    store.update_run(run.id, started_at=moment)
    started_at = store.run(run.id).started_at
    assert started_at == moment
    assert started_at is not None
    assert started_at.utcoffset() == timedelta(0)


def test_only_the_claim_holder_changes_the_state(store: Store, project: Project, project_id: str) -> None:
    """For each pair of states: only declared transitions are allowed, and only with the claim."""
    run = store.create_run(project_id, project)
    for before in STATES:
        for state in STATES:
            put(store, run.id, before, claim="mine", reason="")
            allowed = before in BEFORE[state]
            for holding in ("theirs", None):
                with pytest.raises(ClaimLostError):
                    store.change_state(run.id, state, holding=holding, reason="late")
            if allowed:
                store.change_state(run.id, state, holding="mine", reason="in time")
            else:
                with pytest.raises(ClaimLostError, match=f"This run is {before}; it cannot become {state}"):
                    store.change_state(run.id, state, holding="mine", reason="late")
            current = store.run(run.id)
            assert (current.state, current.reason) == ((state, "in time") if allowed else (before, "")), (before, state)
    put(store, run.id, "finished", claim="mine", step=7)
    store.heartbeat(run.id, epoch=1, step=9, summary={})
    assert store.run(run.id).step == 9
    with pytest.raises(ClaimLostError):
        store.heartbeat(run.id, holding="mine", epoch=1, step=10, summary={})


def test_writes_without_the_claim_are_refused(store: Store, run: Run) -> None:
    put(store, run.id, "running", claim="mine")
    store.add_points(run.id, points(1, 2), holding="mine")
    store.command(run.id, "stop")
    for write in (
        lambda: store.add_points(run.id, points(3), holding="theirs"),
        lambda: store.drop_points_after(run.id, 0, holding="theirs"),
        lambda: store.take_commands(run.id, holding="theirs"),
        lambda: store.heartbeat(run.id, holding="theirs", epoch=9, step=9, summary={}),
        lambda: store.claimed_run(run.id, "theirs"),
    ):
        with pytest.raises(ClaimLostError):
            write()
    assert (store.points(run.id).step, store.run(run.id).step) == ([1, 2], 0)
    assert store.take_commands(run.id, holding="mine") == [Command("stop", None)]


def test_notes_about_a_run_are_merged(store: Store, run: Run) -> None:
    store.note_about(run.id, RunOrigin(halted=True))
    store.note_about(run.id, RunOrigin(retries=1))
    assert store.run(run.id).about == RunOrigin(halted=True, retries=1)


def test_unknown_states_and_commands_are_refused(store: Store, run: Run) -> None:
    with pytest.raises(StoreError, match="'sleeping' is not a state of a run"):
        store.change_state(run.id, "sleeping", holding=None)
    with pytest.raises(ValueError, match="changed by change_state"):
        store.update_run(run.id, state="failed")
    with pytest.raises(StoreError, match="'explode' is not a command; a run takes pause, resume, stop, learning_rate"):
        store.command(run.id, "explode")
    assert (store.run(run.id).state, store.take_commands(run.id)) == ("waiting", [])


def test_deleted_run_is_refused_with_a_message(store: Store, project: Project, run: Run) -> None:
    store.delete_run(run.id)
    store.delete_run(run.id)
    for gone in (run.id, str(uuid.uuid4())):
        for refused in (
            lambda gone=gone: store.run(gone),
            lambda gone=gone: store.change_state(gone, "running", holding=None),
            lambda gone=gone: store.update_run(gone, pid=1),
            lambda gone=gone: store.heartbeat(gone, epoch=1, step=1, summary={}),
            lambda gone=gone: store.add_points(gone, points(1)),
            lambda gone=gone: store.command(gone, "stop"),
            lambda: store.create_run("no project", project),
        ):
            with pytest.raises(StoreError, match="it may have been deleted") as caught:
                refused()
            assert "\n" not in str(caught.value)
            assert str(caught.value).endswith(".")
        assert store.take_commands(gone) == []
        assert store.points(gone).step == []


def test_only_valid_ids_name_a_folder(store: Store, run: Run) -> None:
    assert store.artifacts(run.id).local_directory() == store.home / "runs" / str(uuid.UUID(run.id))
    (store.home / "precious").write_text("mine")
    (store.home.parent / "x").mkdir()
    hostile = ["../x", "../../x", "..", "", "/etc", "runs", "a" * 36, "../" * 12, "x\ny", f"{'0' * 32}/.."]
    for run_id in hostile:
        for refused in (store.artifacts, store.delete_run, store.run):
            with pytest.raises(StoreError, match="no such run"):
                refused(run_id)
    assert (store.home / "precious").read_text() == "mine"
    assert (store.home.parent / "x").exists()


def test_points_are_returned_as_columns_in_order(store: Store, run: Run) -> None:
    store.add_points(run.id, points(30, 10, 20))
    store.add_points(run.id, [(2, 0, "validation", "accuracy", 0.5, 9.0)])
    columns = store.points(run.id)
    assert columns.step == [30, 10, 20, 2]
    assert columns.epoch == [3, 1, 2, 0]
    assert columns.split == ["train"] * 3 + ["validation"]
    assert columns.name == ["loss"] * 3 + ["accuracy"]
    assert columns.value == [1.0, 1.0, 1.0, 0.5]
    assert columns.at == [1030.0, 1010.0, 1020.0, 9.0]


def test_reader_gets_each_point_once(store: Store, project: Project, project_id: str, run: Run) -> None:
    other = store.create_run(project_id, project)
    steps: list[int] = []
    last = store.points(run.id).last
    for first in range(0, 100, 10):
        store.add_points(run.id, points(*range(first, first + 10)))
        store.add_points(other.id, points(*range(5)))
        new = store.points(run.id, last)
        steps += new.step
        last = new.last
    assert steps == list(range(100))
    assert (store.points(run.id, last).step, store.points(run.id, last).last) == ([], last)


def test_nan_and_infinity_are_dropped(store: Store, run: Run) -> None:
    rows = [
        (step, 0, "train", "loss", value, 0.0) for step, value in enumerate((1.0, math.nan, math.inf, -math.inf, 2.0))
    ]
    store.add_points(run.id, rows)
    store.add_points(run.id, rows[1:4])
    store.add_points(run.id, [])
    assert store.points(run.id).value == [1.0, 2.0]


def test_resumed_run_has_no_duplicate_points(store: Store, project: Project, project_id: str, run: Run) -> None:
    other = store.create_run(project_id, project)
    store.add_points(other.id, points(50))
    store.add_points(run.id, points(*range(0, 60, 5)))
    store.add_points(run.id, points(55, split="validation"))
    last = store.points(run.id).last
    store.drop_points_after(run.id, 40)
    assert store.points(run.id).step == list(range(0, 41, 5))
    store.add_points(run.id, points(*range(45, 60, 5), value=2.0))
    assert store.points(run.id).step == list(range(0, 60, 5))
    assert store.points(run.id).value == [1.0] * 9 + [2.0] * 3
    assert store.points(run.id, last).step == [45, 50, 55], "someone who was reading sees all that is new"
    assert store.points(other.id).step == [50]


def test_commands_are_delivered_once_in_order(store: Store, project: Project, project_id: str, run: Run) -> None:
    other = store.create_run(project_id, project)
    store.command(run.id, "pause")
    store.command(run.id, "learning_rate", 0.01)
    store.command(other.id, "stop")
    assert store.take_commands(run.id) == [Command("pause", None), Command("learning_rate", 0.01)]
    assert store.take_commands(run.id) == []
    assert store.take_commands(other.id) == [Command("stop", None)]


def test_deleting_a_run_deletes_its_folder(store: Store, run: Run) -> None:
    folder = store.artifacts(run.id).local_directory()
    (folder / "checkpoints").mkdir(parents=True)
    store.add_points(run.id, points(1))
    store.delete_run(run.id)
    store.delete_run(run.id)
    assert not folder.exists()
    assert store.runs() == []


def test_points_are_added_all_or_none(store: Store, run: Run) -> None:
    bad: Point = (3, 0, None, "loss", 1.0, 0.0)  # type: ignore[assignment]
    with pytest.raises(StoreError):
        store.add_points(run.id, [*points(0, 1, 2), bad])
    assert store.points(run.id).step == []


@pytest.fixture
def on_sqlite(home: Path) -> Iterator[tuple[Store, str]]:
    """A store on SQLite, which has speed guarantees, and a run in it."""
    store = open_store(home)
    yield store, store.create_run(store.create_project(blank("Fast")), blank("Fast")).id
    store.close()


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def test_batched_points_are_five_times_faster(on_sqlite: tuple[Store, str]) -> None:
    store, run_id = on_sqlite
    rows = points(*range(600))
    batched_s = min(seconds(lambda: store.add_points(run_id, rows)) for _ in range(3))

    def one_by_one() -> None:
        for row in rows:
            store.add_points(run_id, [row])

    assert seconds(one_by_one) / batched_s >= 5


def test_incremental_reads_cost_only_the_new_points(on_sqlite: tuple[Store, str]) -> None:
    store, run_id = on_sqlite
    store.add_points(run_id, points(*range(20_000)))
    last = store.points(run_id).last
    store.add_points(run_id, points(*range(20_000, 20_010)))
    whole, new = (min(seconds(partial(store.points, run_id, after)) for _ in range(3)) for after in (0, last))
    assert whole / new >= 10
