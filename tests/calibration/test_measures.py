"""Measures of probabilities equal those of other libraries and closed forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from netloom.calibration.brier import brier_parts, brier_score
from netloom.calibration.measures import log_loss, measured, measures_of
from netloom.calibration.reliability import Reliability, equal_mass, equal_width, stated
from tests.calibration.simulated import class_units, classes, label_units, labels

BINS = 15


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_error_of_classes_equals_torchmetrics(scale: float) -> None:
    logits, target = classes(3_000, 1)
    # torchmetrics puts a confidence of exactly 1 in a bin of its own, so that no confidence is 1 here.
    shares = class_units(logits * scale, target).shares().clip(max=1 - 1e-6)
    diagram = equal_width(*stated(shares, target), BINS)
    norms: tuple[Literal["l1", "max"], ...] = ("l1", "max")
    for norm, value in zip(norms, (diagram.expected_error, diagram.maximum_error), strict=True):
        expected = multiclass_calibration_error(
            torch.from_numpy(shares), torch.from_numpy(target), num_classes=5, n_bins=BINS, norm=norm
        )
        assert value == pytest.approx(float(expected), abs=1e-5)


def test_error_of_one_label_equals_torchmetrics_on_its_predictions() -> None:
    # torchmetrics takes the probability of the positive label, as `stated` does.
    logits, target = labels(3_000, 2)
    shares = label_units(logits * 2, target).shares()
    expected = binary_calibration_error(
        torch.from_numpy(shares[:, 0]), torch.from_numpy(target[:, 0]), n_bins=BINS, norm="l1"
    )
    assert equal_width(*stated(shares, target), BINS).expected_error == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize(("strategy", "diagram_of"), [("uniform", equal_width), ("quantile", equal_mass)])
def test_diagram_equals_scikit_learn(strategy: str, diagram_of: Callable[..., Reliability]) -> None:
    logits, target = labels(2_000, 3)
    shares = label_units(logits * 1.5, target).shares()[:, 0]
    diagram = diagram_of(shares, target[:, 0].astype(float), 10)
    right, confidence = calibration_curve(target[:, 0], shares, n_bins=10, strategy=strategy)
    np.testing.assert_allclose(diagram.right, right)
    np.testing.assert_allclose(diagram.confidence, confidence)
    assert sum(diagram.count) == len(shares)


def test_scores_equal_scikit_learn() -> None:
    logits, target = classes(2_000, 4)
    shares = class_units(logits * 1.7, target).shares()
    assert log_loss(shares, target) == pytest.approx(metrics.log_loss(target, shares))
    assert brier_score(shares, target) == pytest.approx(
        sum(metrics.brier_score_loss(target == index, shares[:, index]) for index in range(5))
    )
    logits, target = classes(2_000, 4, count=2)
    shares = class_units(logits * 1.7, target).shares()
    assert brier_score(shares, target) == pytest.approx(metrics.brier_score_loss(target, shares[:, 1]))
    assert brier_parts(shares, target).score == pytest.approx(brier_score(shares, target))
    logits, truth = labels(2_000, 5, count=3)
    shares = label_units(logits * 1.7, truth).shares()
    each = [metrics.brier_score_loss(truth[:, index], shares[:, index]) for index in range(3)]
    assert brier_score(shares, truth) == pytest.approx(np.mean(each))
    losses = [metrics.log_loss(truth[:, index], shares[:, index]) for index in range(3)]
    assert log_loss(shares, truth) == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_decomposition_adds_up(kind: str) -> None:
    logits, target = classes(1_000, 6) if kind == "classes" else labels(1_000, 6, count=3)
    shares = (class_units if kind == "classes" else label_units)(logits * 2.5, target).shares()
    assert brier_parts(shares, target).score == pytest.approx(brier_score(shares, target), abs=1e-12)


def test_calibrated_probabilities_have_a_small_error_and_overconfident_ones_a_known_one() -> None:
    logits, target = classes(40_000, 7)
    calibrated = measures_of(class_units(logits, target).shares(), target)
    assert calibrated["ece"] < 0.01
    assert calibrated["adaptive_ece"] < 0.01
    # All confidences are nearly 1, so the error is the share of wrong predictions.
    overconfident = measures_of(class_units(logits * 1e3, target).shares(), target)
    assert overconfident["ece"] == pytest.approx(1 - overconfident["accuracy"], abs=2e-3)


def test_constant_prediction_has_the_error_of_its_bin() -> None:
    target = np.array([[1]] * 30 + [[0]] * 70)
    shares = np.full((100, 1), 0.8)
    measures = measures_of(shares, target)
    assert measures["ece"] == pytest.approx(0.5)
    assert measures["adaptive_ece"] == pytest.approx(0.5)
    assert measures["mce"] == pytest.approx(0.5)
    parts = brier_parts(shares, target)
    assert parts.reliability == pytest.approx(0.25)
    assert parts.resolution == pytest.approx(0)
    assert parts.uncertainty == pytest.approx(0.21)


def test_intervals_contain_the_truth_of_most_samples() -> None:
    # The expectation of the log loss over all samples, from a very large one
    logits, target = classes(200_000, 8)
    truth = log_loss(class_units(logits, target).shares(), target)
    inside = 0
    for seed in range(60):
        units = class_units(*classes(400, 100 + seed))
        low, high = measured(units, np.array_split(np.arange(400), 20), independent=True).intervals["log_loss"]
        inside += low <= truth <= high
    assert inside >= 51  # of 57 expected; fewer have a probability of about 1%


def test_blocks_of_few_rows_have_no_intervals() -> None:
    units = class_units(*classes(50, 9))
    assert measured(units, [np.arange(50)], independent=False).intervals == {}
    assert list(measured(units, [np.arange(50)], independent=True).intervals) == ["accuracy"]
