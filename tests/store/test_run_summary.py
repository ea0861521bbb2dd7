"""The JSON columns of a run as frozen types."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from sqlalchemy import select, update

from netloom.store import Run, Store
from netloom.store.run_summary import (
    BestResult,
    Branch,
    Compressed,
    NewRun,
    Reproduction,
    RunOrigin,
    RunStart,
    RunSummary,
    SweepTrial,
)
from netloom.store.schema import runs
from tests.runs.examples import moons
from tests.store.states import put

REPORTED = {
    "objective": "classification",
    "titles": {"roc_auc": "ROC AUC", "accuracy": "Accuracy"},
    "learning_rate": 0.001,
    "best": {"loss": 0.5},
    "test": {"accuracy": 0.75},
    "caveats": [{"code": "leakage", "message": "A column contains the target."}],
    "changes": [{"setting": "schedule", "old": "constant", "new": "cosine", "step": 4, "epoch": 1, "at": 2.5}],
    "notes": ["Without compilation."],
    "eta_s": None,
    "eta_range_s": [1.0, 2.5],
}


def test_summary_writes_the_keys_that_it_has_read() -> None:
    summary = RunSummary.from_json(REPORTED)
    assert json.loads(json.dumps(summary.as_json())) == REPORTED, "without the keys that are unknown"
    assert list(summary.titles) == ["roc_auc", "accuracy"]
    assert (summary.best, summary.monitored_split, summary.rate) == (BestResult(loss=0.5), "validation", None)
    assert summary.eta_range_s == (1.0, 2.5)


def test_summary_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunSummary().rate = 1.0  # type: ignore[misc]


def test_later_facts_replace_earlier_ones_also_with_unknown_values() -> None:
    earlier = RunSummary(eta_s=5.0, device="cpu")
    merged = earlier.merged(RunSummary(eta_s=None))
    assert merged.as_json() == {"device": "cpu", "eta_s": None}
    assert earlier.eta_s == 5.0
    assert not RunSummary().is_reported
    assert merged.is_reported


def test_only_the_damaged_entry_of_a_fact_is_left_out() -> None:
    assert RunSummary.from_json({"test": {"accuracy": 0.5, "loss": "high"}}).as_json() == {"test": {"accuracy": 0.5}}
    extended = RunOrigin.from_json(
        {"extended": [{"at": 1, "epochs": 2}, {"at": None}, {"at": 3, "epochs": 4}, {}]}
    ).extended
    assert [item.at for item in extended] == [1, 3]
    assert RunOrigin.from_json({"start": {"kind": "branch", "run": "a", "at": 1}}).start == NewRun()


def test_a_queued_run_keeps_what_this_version_does_not_know(store: Store) -> None:
    project = moons()
    run = store.create_run(store.create_project(project), project)
    put(store, run.id, "failed")
    about = {"branch": {"run": "a", "at": 1, "title": None}, "later": 1}
    with store.db.writing() as connection:
        connection.execute(update(runs).where(runs.c.id == run.id).values(about=json.dumps(about)))
    store.enqueue(store.run(run.id), about=RunOrigin(retries=2))
    with store.db.reading() as connection:
        stored = connection.execute(select(runs.c.about).where(runs.c.id == run.id)).scalar()
    assert json.loads(str(stored)) == {**about, "retries": 2}


@pytest.mark.parametrize("damaged", [{"rate": "fast"}, {"best": 3}, {"changes": [{"setting": "schedule"}]}, {"new": 1}])
def test_run_with_facts_of_another_version_is_listed(store: Store, run: Run, damaged: dict[str, object]) -> None:
    put(store, run.id, "finished", summary={"device": "cpu", **damaged})
    assert store.run(run.id).summary.as_json() == {"device": "cpu"}
    assert [row.id for row in store.runs()] == [run.id]


def test_summary_that_is_not_an_object_is_empty() -> None:
    assert RunSummary.from_json([1]) == RunSummary()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (NewRun(), ""),
        (Branch(run="0123456789", at=3), "Continues from the weights after epoch 3 of the run 01234567."),
        (Branch(run="0123456789", at="best"), "Continues from the best weights of the run 01234567."),
        (Compressed(run="0123456789"), "A smaller network made from the run 01234567."),
        (Reproduction(run="0123456789"), "Repeats the run 01234567."),
        (SweepTrial(sweep="0123456789", number=2), "Trial 2 of the sweep 01234567."),
    ],
)
def test_each_start_says_what_a_run_was_made_from(start: RunStart, sentence: str) -> None:
    assert start.sentence == sentence


ORIGINS: list[tuple[dict[str, object], RunStart, str | None]] = [
    ({}, NewRun(), None),
    ({"branch": {"run": "a", "at": "best", "title": "A"}}, Branch(run="a", at="best", title="A"), "a"),
    ({"branch": {"run": "a", "at": 3, "title": ""}}, Branch(run="a", at=3), "a"),
    (
        {"compressed": {"run": "a", "method": "channels", "note": "Half."}},
        Compressed(run="a", method="channels", note="Half."),
        "a",
    ),
    ({"again": "a"}, Reproduction(run="a"), "a"),
    (
        {"sweep": "s", "trial": 2, "assigned": {"training.seed": 1}},
        SweepTrial(sweep="s", number=2, assigned={"training.seed": 1}),
        None,
    ),
]


@pytest.mark.parametrize(("stored", "start", "earlier"), ORIGINS)
def test_origin_has_a_type_for_each_kind_of_start(
    stored: dict[str, object], start: RunStart, earlier: str | None
) -> None:
    later = {"extended": [{"at": 3, "epochs": 5}], "retries": 0, "halted": True, "backend": "ray", "workers": 2}
    for facts in (stored, stored | later):
        origin = RunOrigin.from_json(facts)
        assert (origin.start, origin.earlier_run) == (start, earlier)
        assert json.loads(json.dumps(origin.as_json())) == facts, "the same keys as in earlier versions"


def test_later_decisions_do_not_change_the_start() -> None:
    origin = RunOrigin(start=Reproduction(run="a"), halted=True).merged(RunOrigin(halted=False))
    assert origin.as_json() == {"again": "a", "halted": False}


@pytest.mark.parametrize("damaged", [{"branch": 3}, {"again": None}, {"sweep": "s"}])
def test_unknown_start_is_that_of_a_new_run(damaged: dict[str, object]) -> None:
    assert RunOrigin.from_json({**damaged, "retries": 1}) == RunOrigin(retries=1)
