"""Tests and distances of two samples: closed forms, other libraries, and their errors over many seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import false_discovery_control
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from netloom.drift.multivariate import PENALTY, domain_classifier, mmd
from netloom.drift.stream import Adwin, PageHinkley
from netloom.drift.two_sample import compare_categories, compare_numbers, holm, js, psi

ROWS, SEEDS = 1_000, 200


def test_distances_equal_closed_forms() -> None:
    p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    assert psi(p, q) == pytest.approx(0.4 * math.log(1.8) - 0.4 * math.log(0.2))
    middle = (p + q) / 2
    divergence = sum((part * np.log2(part / middle)).sum() for part in (p, q)) / 2
    assert js(p, q) == pytest.approx(math.sqrt(divergence))
    assert js(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(1)
    assert psi(p, p) == js(p, p) == 0


def test_wasserstein_distance_of_a_shift_is_the_shift_in_standard_deviations() -> None:
    values = np.random.default_rng(0).normal(3, 2, ROWS)
    assert compare_numbers(values, values + 1).wasserstein == pytest.approx(1 / values.std())


def test_false_alarms_and_detections_of_numbers_and_categories() -> None:
    random = np.random.default_rng(0)
    alarms = {"numbers": 0, "categories": 0}
    detections = {"mean + 0.5 σ": 0, "share doubled": 0}
    shares, shifted = [0.1, 0.3, 0.6], [0.2, 0.27, 0.53]
    for _ in range(SEEDS):
        first, second = random.normal(size=(2, ROWS))
        alarms["numbers"] += compare_numbers(first, second).p < 0.05
        detections["mean + 0.5 σ"] += compare_numbers(first, second + 0.5).p < 0.05
        codes = [random.choice(list("abc"), ROWS, p=p) for p in (shares, shares, shifted)]
        alarms["categories"] += compare_categories(codes[0], codes[1]).p < 0.05
        detections["share doubled"] += compare_categories(codes[0], codes[2]).p < 0.05
    # Three standard errors of a rate of 5%
    assert max(alarms.values()) <= SEEDS * 0.05 + 3 * math.sqrt(SEEDS * 0.05 * 0.95)
    assert min(detections.values()) >= 0.95 * SEEDS


def test_rare_categories_are_merged() -> None:
    common = ["a"] * 500 + ["b"] * 500
    rare = compare_categories([*common, "c"], [*common, "d"])
    assert rare.p > 0.9  # one row each says nothing
    many = compare_categories(common, ["a"] * 500 + ["b"] * 450 + [f"new {index}" for index in range(50)])
    assert many.p < 1e-6  # many rare new ones do


def test_distances_tell_the_most_frequent_number_from_smaller_ones() -> None:
    before, now = np.repeat([0.0, 1.0], [5, 95]), np.repeat([0.0, 1.0], [50, 50])
    shares = np.array([0.05, 0.95]), np.array([0.5, 0.5])
    comparison = compare_numbers(before, now)
    assert (comparison.psi, comparison.js) == pytest.approx((psi(*shares), js(*shares)))
    changed = compare_numbers(np.full(50, 0.1), np.zeros(50))
    assert (changed.js, changed.wasserstein) == pytest.approx((1, 0.1))


@pytest.mark.parametrize("values", [np.zeros(0), np.full(50, 3.0)])
def test_empty_and_constant_samples_do_not_drift(values: np.ndarray) -> None:
    comparison = compare_numbers(values, values)
    assert (comparison.p, comparison.psi) == (1.0, 0.0)
    texts = [str(value) for value in values]
    assert compare_categories(texts, texts).p == 1.0


def test_holm_controls_the_rate_of_any_false_alarm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    p_values = np.random.default_rng(1).random((2_000, 20))
    any_alarm = np.mean([min(holm(list(row))) < 0.05 for row in p_values])
    assert any_alarm <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2_000)
    # Stricter than the control of the false discovery rate
    assert np.all(np.array(holm(list(p_values[0]))) >= false_discovery_control(p_values[0]) - 1e-12)


def test_whole_rows_show_a_change_of_correlation_only() -> None:
    random = np.random.default_rng(2)
    independent = random.normal(size=(2, 600, 2))
    x = random.normal(size=600)
    correlated = np.stack([x, 0.9 * x + math.sqrt(1 - 0.81) * random.normal(size=600)], axis=1)
    assert min(compare_numbers(independent[0][:, index], correlated[:, index]).p for index in (0, 1)) > 0.01
    assert mmd(independent[0], correlated).p < 0.01
    assert mmd(*independent).p > 0.01


def test_domain_classifier_separates_a_shift_as_its_closed_form() -> None:
    random = np.random.default_rng(3)
    first, second = random.normal(size=(2, ROWS, 3))
    # Two normal distributions whose means are d apart are separated with Φ(d / √2).
    separation = domain_classifier(first, second + np.array([1.0, 0, 0]))
    assert separation.statistic == pytest.approx(0.7602, abs=0.03)
    assert separation.p == pytest.approx(1 / 201)
    assert (separation.reference, separation.rows) == (ROWS, ROWS)


def test_domain_classifier_of_many_columns_rarely_alarms() -> None:
    """The test of Mann and Whitney gave 15% alarms here, because scores of a cross-validation depend on each other."""
    random, seeds = np.random.default_rng(6), 60
    alarms = 0
    for _ in range(seeds):
        mixing = random.normal(size=(8, 64))
        first, second = np.split(np.maximum(random.normal(size=(400, 8)) @ mixing, 0), [300])
        alarms += domain_classifier(first, second).p < 0.05
    assert alarms <= seeds * 0.05 + 2 * math.sqrt(seeds * 0.05 * 0.95)


@pytest.mark.parametrize("columns", [3, 400])
def test_domain_classifier_is_that_of_scikit_learn(columns: int) -> None:
    """Ridge classification has the direction of a linear discriminant, and 400 columns are reduced to 256 first."""
    random = np.random.default_rng(7)
    first, second = random.normal(size=(300, columns)), random.normal(size=(200, columns)) + 0.2
    rows, label = np.concatenate([first, second]), np.repeat([0, 1], [300, 200])
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=PENALTY))
    split = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(model, rows, label, cv=split, method="decision_function")
    separation = domain_classifier(first, second)
    assert separation.statistic == pytest.approx(roc_auc_score(label, scores), abs=0.03)


def test_mmd_equals_its_definition_by_the_kernels_of_scikit_learn() -> None:
    random = np.random.default_rng(8)
    first, second = random.normal(size=(120, 4)), random.normal(size=(80, 4)) + 0.5
    rows = np.concatenate([first, second])
    width = np.median(euclidean_distances(rows, squared=True)[np.triu_indices(200, 1)])
    within = [
        (rbf_kernel(sample, gamma=1 / width).sum() - len(sample)) / (len(sample) * (len(sample) - 1))
        for sample in (first, second)
    ]
    expected = sum(within) - 2 * rbf_kernel(first, second, gamma=1 / width).mean()
    assert mmd(first, second).statistic == pytest.approx(expected, rel=1e-9)


def test_mmd_of_normal_distributions_is_its_closed_form() -> None:
    """‖x − y‖² / w of two normal distributions whose means are μ apart has the mean kernel
    (1 + 4 / w)^(−d / 2) exp(−μ² / (w + 4))."""
    random, columns, apart = np.random.default_rng(9), 3, 1.0
    first, second = random.normal(size=(2, ROWS, columns))
    second[:, 0] += apart
    rows = np.concatenate([first, second])
    width = float(np.median(euclidean_distances(rows, squared=True)[np.triu_indices(len(rows), 1)]))
    expected = 2 * (1 + 4 / width) ** (-columns / 2) * (1 - math.exp(-(apart**2) / (width + 4)))
    assert mmd(first, second).statistic == pytest.approx(expected, rel=0.15)


def test_more_permutations_find_a_change_among_many_tests() -> None:
    random = np.random.default_rng(10)
    first, second = random.normal(size=(2, 60, 2))
    assert mmd(first, second + 2, permutations=1_000).p == pytest.approx(1 / 1_001)
    same = mmd(first, second, permutations=100_000).p
    assert same > 0.05, "further permutations do not follow when the first ones show no change"


def test_stream_detectors_find_a_change_soon_and_nothing_before_it() -> None:
    random = np.random.default_rng(4)
    errors = np.concatenate([random.random(1_000) < 0.1, random.random(400) < 0.4]).astype(float)
    page_hinkley, adwin = PageHinkley(threshold=15), Adwin()
    for detector in (page_hinkley, adwin):
        changes = [index for index, value in enumerate(errors) if detector.update(float(value))]
        assert changes
        assert 1_000 < changes[0] < 1_150
    assert adwin.mean == pytest.approx(0.4, abs=0.08)


def test_adwin_rarely_alarms_without_a_change() -> None:
    random = np.random.default_rng(5)
    alarms = 0
    for _ in range(5):
        adwin = Adwin()
        alarms += sum(adwin.update(float(value)) for value in random.random(600) < 0.3)
    assert alarms == 0
