"""The JSON columns of a run as frozen types."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from netloom.store import Run, Store
from netloom.store.run_summary import BestResult, RunSummary
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


@pytest.mark.parametrize("damaged", [{"rate": "fast"}, {"best": 3}, {"changes": [{"setting": "schedule"}]}, {"new": 1}])
def test_run_with_facts_of_another_version_is_listed(store: Store, run: Run, damaged: dict[str, object]) -> None:
    put(store, run.id, "finished", summary={"device": "cpu", **damaged})
    assert store.run(run.id).summary.as_json() == {"device": "cpu"}
    assert [row.id for row in store.runs()] == [run.id]


def test_summary_that_is_not_an_object_is_empty() -> None:
    assert RunSummary.from_json([1]) == RunSummary()  # type: ignore[arg-type]
