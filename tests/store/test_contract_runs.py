"""What a store promises about runs, whichever database it is on; `test_runs.py` asks more of SQLite."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from builder.graph import Project, blank
from builder.store import Point, Run, Store, StoreError
from builder.store.runs import STATES


def points(*steps: int, value: float = 1.0, split: str = "train") -> list[Point]:
    return [(step, step // 10, split, "loss", value, 1000.0 + step) for step in steps]


def test_a_new_run_waits(store: Store, project: Project, project_id: str) -> None:
    run = store.create_run(project_id, project, "With dropout")
    assert (run.project_id, run.title, run.state, run.reason) == (project_id, "With dropout", "queued", "")
    assert (run.pid, run.epoch, run.step, run.total_steps, run.summary) == (None, 0, 0, 0, {})
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


def test_fields_are_changed_alone(store: Store, run: Run) -> None:
    summary = {"steps_per_s": 1.5, "nested": {"a": [1, None]}, "title": "</script>"}
    store.update_run(run.id, state="running", pid=77, total_steps=10**10, summary=summary)
    found = store.run(run.id)
    assert (found.state, found.pid, found.total_steps, found.summary) == ("running", 77, 10**10, summary)
    assert (found.title, found.created_at) == (run.title, run.created_at)


def test_a_heartbeat_tells_how_far_it_is(store: Store, run: Run) -> None:
    store.heartbeat(run.id, epoch=3, step=2**40, summary={"rate": 5})
    found = store.run(run.id)
    assert (found.epoch, found.step, found.summary) == (3, 2**40, {"rate": 5})
    assert found.heartbeat_at is not None
    assert timedelta(0) <= datetime.now(UTC) - found.heartbeat_at < timedelta(minutes=1)


def test_moments_keep_their_place_in_time(store: Store, run: Run) -> None:
    moment = datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=9)))
    store.update_run(run.id, started_at=moment)
    found = store.run(run.id).started_at
    assert found == moment
    assert found is not None
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize("state", [state for state in STATES if state != "finished"])
def test_every_state_can_change_but_finished(store: Store, run: Run, state: str) -> None:
    store.update_run(run.id, state=state)
    store.update_run(run.id, state="queued")  # a failed or stopped run is resumed
    store.update_run(run.id, state="finished", reason="")
    store.update_run(run.id, state="finished", step=7)
    with pytest.raises(StoreError, match=f"This run is finished; it cannot become {state}"):
        store.update_run(run.id, state=state, step=8)
    assert (store.run(run.id).state, store.run(run.id).step) == ("finished", 7)


def test_what_is_none_is_refused(store: Store, run: Run) -> None:
    with pytest.raises(StoreError, match="'sleeping' is no state of a run"):
        store.update_run(run.id, state="sleeping")
    with pytest.raises(StoreError, match="'explode' is no command; a run takes pause, resume, stop, learning_rate"):
        store.command(run.id, "explode")
    assert (store.run(run.id).state, store.take_commands(run.id)) == ("queued", [])


def test_what_is_gone_gets_a_sentence(store: Store, project: Project, run: Run) -> None:
    store.delete_run(run.id)
    store.delete_run(run.id)
    gone = "it may have been deleted"
    for refused in (
        lambda: store.run(run.id),
        lambda: store.update_run(run.id, state="running"),
        lambda: store.update_run(run.id, pid=1),
        lambda: store.heartbeat(run.id, epoch=1, step=1, summary={}),
        lambda: store.add_points(run.id, points(1)),
        lambda: store.command(run.id, "stop"),
        lambda: store.create_run("no project", project),
    ):
        with pytest.raises(StoreError, match=gone):
            refused()
    assert store.take_commands(run.id) == []
    assert store.points(run.id).step == []


@pytest.mark.parametrize("run_id", ["../x", "", "/etc", "runs", "a" * 36])
def test_only_an_id_names_a_folder(store: Store, run_id: str) -> None:
    (store.home / "precious").write_text("mine")
    for refused in (store.run_folder, store.delete_run):
        with pytest.raises(StoreError, match="no such run"):
            refused(run_id)
    assert (store.home / "precious").read_text() == "mine"


def test_points_come_back_column_by_column_in_their_order(store: Store, run: Run) -> None:
    store.add_points(run.id, points(3, 1, 2))
    store.add_points(run.id, [(2, 0, "validation", "accuracy", 0.5, 9.0)])
    found = store.points(run.id)
    assert found.step == [3, 1, 2, 2]
    assert found.epoch == [0, 0, 0, 0]
    assert found.split == ["train"] * 3 + ["validation"]
    assert found.name == ["loss"] * 3 + ["accuracy"]
    assert found.value == [1.0, 1.0, 1.0, 0.5]
    assert found.at == [1003.0, 1001.0, 1002.0, 9.0]


def test_a_reader_gets_each_point_once(store: Store, project: Project, project_id: str, run: Run) -> None:
    other = store.create_run(project_id, project)
    seen: list[int] = []
    last = store.points(run.id).last
    for first in range(0, 100, 10):
        store.add_points(run.id, points(*range(first, first + 10)))
        store.add_points(other.id, points(*range(5)))
        new = store.points(run.id, last)
        seen += new.step
        last = new.last
    assert seen == list(range(100))
    assert (store.points(run.id, last).step, store.points(run.id, last).last) == ([], last)


def test_values_that_are_no_number_are_left_out(store: Store, run: Run) -> None:
    rows = [(step, 0, "train", "loss", value, 0.0) for step, value in enumerate((1.0, math.nan, math.inf, 2.0))]
    store.add_points(run.id, rows)
    store.add_points(run.id, rows[1:3])
    store.add_points(run.id, [])
    assert store.points(run.id).value == [1.0, 2.0]


def test_a_resumed_run_leaves_no_double_point(store: Store, project: Project, project_id: str, run: Run) -> None:
    other = store.create_run(project_id, project)
    store.add_points(other.id, points(50))
    store.add_points(run.id, points(*range(0, 60, 5)))
    store.add_points(run.id, points(55, split="validation"))
    last = store.points(run.id).last
    store.drop_points_after(run.id, 40)
    assert store.points(run.id).step == list(range(0, 41, 5))
    store.add_points(run.id, points(*range(45, 60, 5), value=2.0))
    assert store.points(run.id).step == list(range(0, 60, 5))
    assert store.points(run.id, last).step == [45, 50, 55], "someone who was reading sees all that is new"
    assert store.points(other.id).step == [50]


def test_commands_are_handed_out_once_in_their_order(store: Store, project: Project, project_id: str, run: Run) -> None:
    other = store.create_run(project_id, project)
    store.command(run.id, "pause")
    store.command(run.id, "learning_rate", 0.01)
    store.command(other.id, "stop")
    assert [(item.kind, item.value) for item in store.take_commands(run.id)] == [
        ("pause", None),
        ("learning_rate", 0.01),
    ]
    assert store.take_commands(run.id) == []
    assert [item.kind for item in store.take_commands(other.id)] == ["stop"]


def test_deleting_a_run_takes_its_folder_along(store: Store, run: Run) -> None:
    folder = store.run_folder(run.id)
    (folder / "checkpoints").mkdir(parents=True)
    store.add_points(run.id, points(1))
    store.delete_run(run.id)
    assert not folder.exists()
    assert store.runs() == []
