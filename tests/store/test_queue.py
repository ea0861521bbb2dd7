"""The queue of runs and the rows of sweeps, on each database: fair, within limits, and each run once."""

from __future__ import annotations

import pytest

from netloom.document import Project, Training
from netloom.store import Limits, NotFoundError, QueueFullError, Run, Store, StoreError
from netloom.store.run_summary import Reproduction, RunOrigin, SweepTrial
from tests.store.processes import claim, together
from tests.store.states import put, sweep_plan

MANY = Limits(workers=100, each=100)


@pytest.fixture
def waiting(store: Store, project: Project, project_id: str) -> dict[str, Run]:
    """Three runs of Ann, who came first, and one each of Ben and Cid, named by initial and number."""
    owners = ("ann", "ann", "ann", "ben", "cid")
    names = ("a1", "a2", "a3", "b1", "c1")
    return {
        name: store.create_run(project_id, project, name, owner=owner)
        for name, owner in zip(names, owners, strict=True)
    }


def queued_titles(store: Store) -> list[str]:
    return [run.title for run in store.line()]


def claim_title(store: Store, limits: Limits) -> str | None:
    run = store.claim_next(limits)
    if run is None:
        return None
    assert store.set_worker(run.id, str(run.claim), 1)
    return run.title


def test_owners_alternate_and_their_runs_stay_in_order(store: Store, waiting: dict[str, Run]) -> None:
    assert queued_titles(store) == ["a1", "b1", "c1", "a2", "a3"]
    limits = Limits(workers=1)
    served = []
    while (title := claim_title(store, limits)) is not None:
        served.append(title)
        assert claim_title(store, limits) is None, "one place"
        put(store, waiting[title].id, "finished")
    assert served == ["a1", "b1", "c1", "a2", "a3"], "whoever was served is behind those who were not"


def test_owner_is_limited_to_one_run_despite_free_workers(store: Store, waiting: dict[str, Run]) -> None:
    limits = Limits(workers=10)
    assert [claim_title(store, limits) for _ in range(4)] == ["a1", "b1", "c1", None]
    put(store, waiting["a1"].id, "paused")
    assert claim_title(store, limits) is None, "a paused worker keeps its place"
    put(store, waiting["a1"].id, "failed")
    assert claim_title(store, limits) == "a2"


def test_full_queue_is_refused_with_a_message(store: Store, waiting: dict[str, Run]) -> None:
    limits = Limits(each=1, waiting_each=3)
    assert store.free_run_count("ann", limits) == 1
    assert store.free_run_count("nobody yet", limits) == 4
    with pytest.raises(QueueFullError, match="You have 3 runs that train or wait; at most 1 can train and 2 wait"):
        store.free_run_count("ann", Limits(each=1, waiting_each=2))


def test_runs_are_assigned_to_gpu_slots(store: Store, project: Project, project_id: str) -> None:
    on_cpu = project.model_copy(update={"training": Training(device="cpu")})
    for number in range(5):
        store.create_run(project_id, on_cpu if number == 4 else project, str(number), owner=str(number))
    limits = Limits(workers=10, gpus=2, per_gpu=1)
    claimed = [store.claim_next(limits) for _ in range(4)]
    assert [run and (run.title, run.gpu) for run in claimed] == [("0", 0), ("1", 1), ("4", None), None]
    assert claimed[1] is not None
    put(store, claimed[1].id, "stopped")
    last = store.claim_next(limits)
    assert last is not None
    assert (last.title, last.gpu) == ("2", 1)


def test_claim_is_valid_for_one_worker(store: Store, waiting: dict[str, Run]) -> None:
    run = store.claim_next(MANY)
    assert run is not None
    assert (run.state, run.pid) == ("queued", None)
    assert not store.set_worker(run.id, "another", 7)
    assert store.give_back(run)
    assert not store.set_worker(run.id, str(run.claim), 7), "it was given back"
    reclaimed = store.claim_next(MANY)
    assert reclaimed is not None
    assert (reclaimed.id, reclaimed.claim != run.claim) == (run.id, True)
    assert store.set_worker(reclaimed.id, str(reclaimed.claim), 7)
    assert not store.set_worker(reclaimed.id, str(reclaimed.claim), 8)
    assert not store.give_back(reclaimed)
    assert store.run(run.id).pid == 7


def test_run_leaves_and_reenters_the_queue(store: Store, waiting: dict[str, Run]) -> None:
    run = waiting["a1"]
    assert store.leave_line(run.id)
    assert not store.leave_line(run.id)
    assert (store.run(run.id).state, store.run(run.id).reason) == (
        "stopped",
        "It was stopped while it waited in the queue.",
    )
    store.command(run.id, "pause")  # for the worker that no longer exists
    store.enqueue(store.run(run.id))
    assert store.take_commands(run.id) == []
    requeued = store.run(run.id)
    assert (requeued.state, requeued.reason, requeued.ended_at) == ("waiting", "", None)
    assert queued_titles(store)[-1] == "a1", "at the end of its owner's"
    with pytest.raises(StoreError, match="This run is waiting"):
        store.enqueue(requeued)
    put(store, run.id, "finished")
    with pytest.raises(StoreError, match="This run is finished"):
        store.enqueue(store.run(run.id))
    store.enqueue(store.run(run.id), reopen=True)
    assert store.run(run.id).state == "waiting"
    store.delete_run(run.id)
    with pytest.raises(NotFoundError):
        store.enqueue(requeued)


def test_concurrent_processes_claim_each_run_once(store: Store, project: Project, project_id: str) -> None:
    ids = [store.create_run(project_id, project, owner=str(number % 3)).id for number in range(24)]
    outputs = together(claim, store.home, 3, 2)
    assert sorted(run_id for lines in outputs for run_id in lines) == sorted(ids)
    assert {run.state for run in store.runs()} == {"finished"}


def test_tags_notes_and_origin_are_stored(store: Store, project: Project, project_id: str) -> None:
    run = store.create_run(
        project_id, project, tags=(" wide ", "wide", "", "two\nlines"), about=RunOrigin(start=Reproduction(run="x"))
    )
    assert (run.tags, run.about, run.notes) == (("wide", "two lines"), RunOrigin(start=Reproduction(run="x")), "")
    store.update_run(run.id, title="Other", notes="𝕏 \n<b>", tags=["α"])
    updated = store.run(run.id)
    assert (updated.title, updated.notes, updated.tags) == ("Other", "𝕏 \n<b>", ("α",))
    with pytest.raises(StoreError, match="at most 40 letters"):
        store.update_run(run.id, tags=["x" * 41])
    with pytest.raises(StoreError, match="at most 20 tags, received 21"):
        store.update_run(run.id, tags=[str(number) for number in range(21)])


def test_trial_number_is_created_once_with_its_run(store: Store, project: Project, project_id: str) -> None:
    sweep = store.create_sweep(project_id, project, sweep_plan(3))
    run = store.create_run(
        project_id, project, about=RunOrigin(start=SweepTrial(sweep=sweep.id, number=0, assigned={"training.seed": 1}))
    )
    assert run.sweep_id == sweep.id
    with pytest.raises(NotFoundError):
        store.create_run(project_id, project, about=RunOrigin(start=SweepTrial(sweep=sweep.id, number=0)))
    with pytest.raises(NotFoundError):
        store.fail_trial(sweep.id, 0, {}, "late")
    assert len(store.runs()) == 1, "no run without its trial"
    store.fail_trial(sweep.id, 1, {"training.seed": 2}, "no good")
    first = store.trials(sweep.id)[0]
    put(store, run.id, "finished")
    assert not store.end_trial(sweep.id, first, "failed", None, "late", run=run), "it went on since it was read"
    assert store.end_trial(sweep.id, first, "complete", 0.5, run=store.run(run.id))
    assert not store.end_trial(sweep.id, first, "failed", None, "late", run=store.run(run.id)), "it was noted before"
    rows = [(trial.number, trial.run_id, trial.state, trial.assigned, trial.value) for trial in store.trials(sweep.id)]
    assert rows == [
        (0, run.id, "complete", {"training.seed": 1}, 0.5),
        (1, None, "failed", {"training.seed": 2}, None),
    ]
    store.delete_run(run.id)
    assert store.trials(sweep.id)[0].run_id is None
    stale = store.sweep(sweep.id)
    assert store.change_sweep(stale, plan={"trials": 4})
    assert not store.change_sweep(stale, state="finished"), "another process let it make one more"
    assert store.stop_sweep(sweep.id)
    assert not store.stop_sweep(sweep.id)
    with pytest.raises(NotFoundError, match="makes no more trials"):
        store.create_run(project_id, project, about=RunOrigin(start=SweepTrial(sweep=sweep.id, number=2)))
    assert [row.id for row in store.sweeps(project_id, "stopped")] == [sweep.id]
    store.delete_sweep(sweep.id)
    assert (store.sweeps(), store.trials(sweep.id)) == ([], [])


def test_curves_of_several_runs_are_read_together(store: Store, project: Project, project_id: str) -> None:
    ids = [store.create_run(project_id, project).id for _ in range(3)]
    for number, run_id in enumerate(ids[:2]):
        rows = [
            (epoch, epoch, split, "loss", number + epoch / 8, 0.0)
            for epoch in range(3)
            for split in ("train", "validation")
        ]
        store.add_points(run_id, rows)
    assert store.curves(ids, "loss") == {
        ids[0]: [(0, 0.0), (1, 0.125), (2, 0.25)],
        ids[1]: [(0, 1.0), (1, 1.125), (2, 1.25)],
        ids[2]: [],
    }
