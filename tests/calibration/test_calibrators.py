"""Calibrators find maps that are known, and equal scikit-learn's."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from netloom.calibration.measures import measures_of
from netloom.calibration.scaling import calibrators
from tests.calibration.simulated import class_units, classes, label_units, labels

METHODS = list(calibrators())


class Softmax(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted classifier whose inputs are logits."""

    def __init__(self) -> None:
        self.classes_, self.n_features_in_ = np.arange(5), 5

    def fit(self, x: np.ndarray, y: np.ndarray) -> Softmax:
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        predicted: np.ndarray = x.argmax(1)
        return predicted

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return class_units(x, np.zeros(len(x), int)).shares()


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 3.0, 1_000.0])
def test_temperature_is_found(temperature: float) -> None:
    logits, target = classes(20_000, 1)
    scaling = calibrators()["temperature"].fit(class_units(logits * temperature, target))
    assert 1 / scaling.scale[0] == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_validation_rows_without_a_mistake_do_not_make_probabilities_certain(method: str, kind: str) -> None:
    make, units_of = (classes, class_units) if kind == "classes" else (labels, label_units)
    logits, _ = make(50, 12)
    units = units_of(logits, logits.argmax(1) if kind == "classes" else (logits > 0).astype(np.int64))
    shares = units.shares(asdict(calibrators()[method].fit(units)))
    likelihood = np.where(units.target == 1, shares, 1 - shares) if kind == "labels" else shares.max(1)
    # Of 50 rows without a mistake, the rule of succession expects 1 of 52 new rows to be one.
    assert 1 - likelihood.mean() > 0.1 / 52


def test_platt_equals_a_logistic_regression() -> None:
    logits, target = labels(20_000, 2)
    shifted = (logits - 0.7) * 2.5  # the true map is 0.4 z + 0.7
    scaling = calibrators()["platt"].fit(label_units(shifted, target))
    fitted = LogisticRegression(C=1e6).fit(shifted, target[:, 0])
    assert scaling.scale[0] == pytest.approx(float(fitted.coef_[0, 0]), abs=2e-3)
    assert scaling.shift[0] == pytest.approx(float(fitted.intercept_[0]), abs=2e-3)
    assert scaling.scale[0] == pytest.approx(0.4, abs=0.02)


def test_platt_of_a_label_that_never_occurs_stays_finite() -> None:
    logits, target = labels(200, 3, count=2)
    target[:, 1] = 0
    scaling = calibrators()["platt"].fit(label_units(logits, target))
    assert np.isfinite([*scaling.scale, *scaling.shift]).all()
    shares = label_units(logits, target).shares(asdict(scaling))
    assert shares[:, 1].max() < 0.2


def test_vector_scaling_corrects_a_class_that_is_predicted_too_often() -> None:
    logits, target = classes(20_000, 4)
    biased = logits + np.array([2.0, 0, 0, 0, 0])
    units = class_units(biased, target)
    after = measures_of(units.shares(asdict(calibrators()["platt"].fit(units))), target)
    assert after["ece"] < 0.015 < measures_of(units.shares(), target)["ece"]


def test_isotonic_equals_scikit_learn() -> None:
    logits, target = classes(5_000, 5)
    fresh, _ = classes(500, 6)
    scaling = calibrators()["isotonic"].fit(class_units(logits * 3, target))
    expected = CalibratedClassifierCV(FrozenEstimator(Softmax()), method="isotonic").fit(logits * 3, target)
    shares = class_units(fresh * 3, np.zeros(500, int)).shares(asdict(scaling))
    # Ours are never 0 or 1, which changes each by at most the probability of one row of 5,000.
    np.testing.assert_allclose(shares, expected.predict_proba(fresh * 3), atol=4e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_calibration_helps_on_new_rows(method: str, kind: str) -> None:
    make, units_of = (classes, class_units) if kind == "classes" else (labels, label_units)
    logits, target = make(4_000, 7)
    new_logits, new_target = make(4_000, 8)
    scaling = calibrators()[method].fit(units_of(logits * 3, target))
    unseen = units_of(new_logits * 3, new_target)
    before, after = (measures_of(unseen.shares(map_), new_target) for map_ in (None, asdict(scaling)))
    assert after["log_loss"] < before["log_loss"]
    assert after["ece"] < before["ece"] / 2


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_added_to_all_logits_changes_nothing(method: str) -> None:
    # The exported network may give log-probabilities instead, which differ from logits by such a constant.
    logits, target = classes(1_000, 9)
    scaling = asdict(calibrators()[method].fit(class_units(logits, target)))
    moved = logits + np.random.default_rng(0).normal(0, 5, (1_000, 1))
    np.testing.assert_allclose(
        class_units(moved, target).shares(scaling), class_units(logits, target).shares(scaling), atol=1e-9
    )


def test_binary_probabilities_of_a_temperature_are_those_of_the_divided_logit() -> None:
    logits, target = labels(50, 10)
    scaling = calibrators()["temperature"].fit(label_units(logits, target))
    np.testing.assert_allclose(label_units(logits, target).shares(asdict(scaling)), expit(logits * scaling.scale[0]))
