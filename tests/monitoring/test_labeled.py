"""Labeled predictions: false alarms and detection of the detectors, and the comparison with the test rows."""

from __future__ import annotations

import numpy as np
import pytest

from netloom.drift import Adwin
from netloom.monitoring.labeled import changes_of, compare_errors
from netloom.monitoring.request_log import LoggedRow
from netloom.tasks.true_label import ClassLabel, LabelSet, NumberLabel

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


def test_errors_of_each_kind_of_label() -> None:
    assert CLASSES.error("no", "yes") == 1.0
    labels = LabelSet(("a", "b", "c"))
    assert labels.error(["b", "a"], labels.check(["a", "b", "a"])) == 0.0
    assert labels.error([], ["a"]) == 1.0
    assert NumberLabel().error(2.5, NumberLabel().check(4)) == 1.5
