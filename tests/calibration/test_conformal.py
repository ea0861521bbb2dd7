"""Conformal sets and intervals cover what they promise, over many samples."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from netloom.calibration.conformal import (
    conformal_rank,
    fit_interval,
    fit_set,
    interval_coverage,
    members,
    set_coverage,
)
from netloom.core.errors import UsageError
from tests.calibration.simulated import class_units, classes

ALPHA, ROWS, SEEDS = 0.2, 200, 60


@pytest.mark.parametrize("kind", ["lac", "aps"])
def test_sets_cover_the_true_class_whatever_the_network(kind: Literal["lac", "aps"]) -> None:
    covered = 0
    for seed in range(SEEDS):
        logits, target = classes(2 * ROWS, seed)
        # A network that is far too sure: its probabilities are wrong, the coverage is not.
        shares = class_units(logits * 4, target).shares()
        chosen = fit_set(shares[:ROWS], target[:ROWS], kind, ALPHA)
        covered += int(members(chosen, shares[ROWS:])[np.arange(ROWS), target[ROWS:]].sum())
    share, total = covered / (SEEDS * ROWS), SEEDS * ROWS
    # Calibration and test rows vary: twice the variance of a binomial share
    error = 3 * math.sqrt(2 * ALPHA * (1 - ALPHA) / total)
    assert share >= 1 - ALPHA - error
    if kind == "lac":  # exact, up to one row in 201; cumulative sums without random ties give more
        assert share <= 1 - ALPHA + 1 / (ROWS + 1) + error


@pytest.mark.parametrize("kind", ["absolute", "signed"])
def test_intervals_cover_each_number(kind: Literal["absolute", "signed"]) -> None:
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    for _ in range(SEEDS):
        predicted = rng.normal(0, 1, (2 * ROWS, 2))
        true = predicted + rng.exponential(1, (2 * ROWS, 2)) * [1.0, 10.0]  # skewed, with two scales
        interval = fit_interval(predicted[:ROWS], true[:ROWS], kind, ALPHA)
        measured = interval_coverage(interval, predicted[ROWS:], true[ROWS:], independent=True)
        covered += np.array(measured.coverage)
        assert measured.width[1] > 5 * measured.width[0]
    error = 3 * math.sqrt(2 * ALPHA * (1 - ALPHA) / (SEEDS * ROWS))
    upper = {"absolute": 1, "signed": 2}[kind] / (ROWS + 1)
    assert (covered / SEEDS >= 1 - ALPHA - error).all()
    assert (covered / SEEDS <= 1 - ALPHA + upper + error).all()


def test_half_width_is_the_conformal_quantile_of_the_residuals() -> None:
    true = np.arange(1.0, 20.0)[:, None]  # residuals 1 to 19
    interval = fit_interval(np.zeros((19, 1)), true, "absolute", 0.1)
    assert interval.below == interval.above == (18.0,)  # ceil(20 * 0.9) = 18
    signed = fit_interval(np.zeros((19, 1)), true, "signed", 0.2)
    assert signed.above == (18.0,)
    assert signed.below == (-2.0,)  # true numbers are at least 1 above the prediction


def test_sets_of_a_small_example() -> None:
    shares = np.array([[0.6, 0.3, 0.1]] * 9)
    target = np.array([0] * 7 + [1, 2])
    lac = fit_set(shares, target, "lac", 0.2)  # rank 8 of 9: the eighth largest probability of a true class
    assert lac.threshold == 0.3
    assert members(lac, shares[:1]).tolist() == [[True, True, False]]
    aps = fit_set(shares, target, "aps", 0.2)
    assert aps.threshold == pytest.approx(0.9)
    assert members(aps, shares[:1]).tolist() == [[True, True, False]]


def test_a_set_is_never_empty() -> None:
    sure = fit_set(np.array([[0.9, 0.1]] * 20), np.zeros(20, int), "lac", 0.1)
    assert members(sure, np.array([[0.5, 0.5], [0.2, 0.8]])).sum(1).tolist() == [1, 1]


def test_coverage_lists_sizes_and_classes() -> None:
    logits, target = classes(500, 1)
    shares = class_units(logits, target).shares()
    chosen = fit_set(shares, target, "lac", 0.1)
    report = set_coverage(chosen, shares, target, tuple("abcde"), independent=True)
    assert sum(report.sizes) == 500
    assert report.coverage == pytest.approx(0.9, abs=0.005)
    assert set(report.by_class) == set("abcde")
    assert report.interval is not None
    assert report.interval[0] < report.coverage < report.interval[1]


def test_too_few_rows_are_refused_with_the_number_that_is_needed() -> None:
    assert conformal_rank(9, 0.1) == 9
    with pytest.raises(UsageError, match="at least 9 calibration rows, but there are 8"):
        conformal_rank(8, 0.1)
    # Each side of an interval has half of the error rate.
    few = np.zeros((18, 1))
    with pytest.raises(UsageError, match=r"error rate of 0\.1 needs at least 19 calibration rows, but there are 18"):
        fit_interval(few, few, "signed", 0.1)
