"""Labeled predictions: false alarms and detection of the detectors, and the comparison with the test rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netloom
from netloom.core.errors import DataError
from netloom.document import updated
from netloom.drift import Adwin
from netloom.jobs import RunWeights
from netloom.jobs.request import Context
from netloom.jobs.requests.monitoring import MakeVersion
from netloom.monitoring.labeled import changes_of, compare_errors, true_label_of
from netloom.monitoring.log_reader import LoggedRow
from netloom.monitoring.suspects import suspects
from netloom.store import open_store
from netloom.tasks.true_labels import ClassLabel, LabelSet, NumberLabel
from tests.monitoring.conftest import Watched

CLASSES = ClassLabel(("no", "yes"))
SEEDS = 20


def row(number: int) -> LoggedRow:
    return LoggedRow(
        f"2026-01-01T00:{number // 60:02}:{number % 60:02}", f"r{number}", 1, "run", "m/1", 1.0, {}, "", None
    )


ROWS = [row(number) for number in range(1_000)]


@pytest.mark.parametrize("rate", [0.1, *(pytest.param(rate, marks=pytest.mark.long) for rate in (0.03, 0.3))])
def test_concept_drift_is_found_and_rarely_reported_without_one(rate: float) -> None:
    random = np.random.default_rng(int(rate * 100))
    false_alarms = found = 0
    for _ in range(SEEDS):
        test = (random.random(500) < rate).astype(float)
        before = (random.random(1_000) < rate).astype(float)
        after = np.concatenate([before[:500], (random.random(500) < rate + 0.2).astype(float)])
        false_alarms += bool(changes_of(CLASSES, ROWS, before, test))
        found += bool(changes_of(CLASSES, ROWS, after, test))
    assert false_alarms <= 4, "more than 4 of 20 has a probability of 0.3% at a rate of 5%"
    assert found >= 0.95 * SEEDS


def test_growing_distances_are_found_and_improvements_are_not() -> None:
    random = np.random.default_rng(0)
    test, errors = (np.abs(random.normal(size=count)) for count in (500, 1_000))
    assert not changes_of(NumberLabel(), ROWS, errors, test)
    worse, better = errors.copy(), errors.copy()
    worse[500:] *= 2
    better[500:] *= 0.3
    [*_, change] = changes_of(NumberLabel(), ROWS, worse, test)
    assert "the errors increased by 2026-01-01 00:" in change
    assert not changes_of(NumberLabel(), ROWS, better, test)


def test_a_single_mistake_after_perfect_test_rows_is_not_a_change() -> None:
    errors = np.zeros(200)
    errors[150] = 1.0
    assert not changes_of(CLASSES, ROWS[:200], errors, np.zeros(100))
    assert not any(Adwin().update(value) for value in errors)


def test_accuracy_is_worse_only_if_the_interval_says_so() -> None:
    test = np.repeat([1.0, 0.0], [50, 950])
    words, is_worse = compare_errors(CLASSES, np.repeat([1.0, 0.0], [30, 270]), test)
    assert is_worse
    assert words.startswith("Accuracy − test: -5.0% (95% CI -9.1% to -1.7%)")
    assert not compare_errors(CLASSES, np.repeat([1.0, 0.0], [3, 27]), test)[1], "30 labels say little"
    assert not compare_errors(CLASSES, np.zeros(300), test)[1], "better is not worse"
    random = np.random.default_rng(0)
    small, large = np.abs(random.normal(size=400)), np.abs(random.normal(size=400)) * 1.5
    assert compare_errors(NumberLabel(), large, small)[1]
    assert not compare_errors(NumberLabel(), small, large)[1]
    assert compare_errors(NumberLabel(), np.ones(40), np.ones(50)) == ("Mean absolute error − test: +0", False)


def test_errors_of_each_kind_of_label() -> None:
    assert CLASSES.error("no", "yes") == 1.0
    labels = LabelSet(("a", "b", "c"))
    assert labels.error(["b", "a"], labels.check(["a", "b", "a"])) == 0.0
    assert labels.error([], ["a"]) == 1.0
    assert NumberLabel().error(2.5, NumberLabel().check(4)) == 1.5


def test_a_large_error_is_suspicious_and_a_small_one_is_not(tmp_path: Path) -> None:
    project = netloom.open_project("diabetes")
    project = project.model_copy(update={"training": updated(project.training, {"epochs": 1})})
    run = netloom.train(project, seed=1, device="cpu", save=True, home=tmp_path)
    watched = Watched(tmp_path, run)
    rows = [{name: float(value) for name, value in run.data.row(index).items()} for index in range(6)]
    predicted = [answer["prediction"] for answer in netloom.predict(run, rows)]
    offsets = [0.5, 0.0, 90.0, 0.1, 40.0, 0.2]
    for model, part in (("first", slice(0, 3)), ("second", slice(3, 6))):
        watched.log(rows[part], [a + b for a, b in zip(predicted[part], offsets[part], strict=True)], model=model)
    found = suspects(tmp_path, ["first", "second"], run, 9)
    assert [(item.model, round(item.error or 0.0, 3)) for item in found.rows] == [("first", 90.0), ("second", 40.0)]
    store = open_store(tmp_path)
    store.collected(store.run(watched.run_id).project_id).add(rows[0], "yes", "Try it")
    with pytest.raises(DataError, match="collected example 1 does not fit the run: The label must be a number"):
        MakeVersion(RunWeights(watched.run_id), "Version", "1").compute(Context(tmp_path))


def test_the_correction_of_a_class_with_tags_starts_with_the_predicted_tags(tmp_path: Path) -> None:
    """The log and a reported label have the class alone."""
    project = netloom.open_project("commands_joint")
    project = project.model_copy(update={"training": updated(project.training, {"epochs": 0})})
    run = netloom.train(project, seed=1, device="cpu", save=True, home=tmp_path)
    rows = [run.data.row(int(place)) for place in run.data.split["test"][:3]]
    answers = netloom.predict(run, rows)
    names = run.data.schema.target.classes
    wrong = [next(name for name in names if name != answer["prediction"]) for answer in answers]
    whole = {"class": wrong[1], "tags": ["O"] * len(answers[1]["tags"])}
    watched = Watched(tmp_path, run)
    watched.log(rows[:2], [wrong[0], whole])
    watched.log(rows[2:])
    found = {item.row.input["text"]: item.start for item in suspects(tmp_path, ["cancer"], run, 9).rows}
    expected = [{"class": wrong[0], "tags": answers[0]["tags"]}, whole]
    expected.append({"class": answers[2]["prediction"], "tags": answers[2]["tags"]})
    true_label = true_label_of(run)
    assert true_label is not None
    assert [found[row["text"]] for row in rows] == list(map(true_label.as_label, expected))
    for row in rows:
        true_label.check_row(run.data, row, true_label.check(found[row["text"]]))
