"""The risk-coverage curve and the choice of a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from netloom.calibration.selective import choose_threshold, risk_coverage, selected


def test_curve_of_a_small_example() -> None:
    # By confidence: right, right, wrong, right
    confidence, loss = np.array([0.6, 0.9, 0.7, 0.8]), np.array([0.0, 0.0, 1.0, 0.0])
    curve = risk_coverage(confidence, loss)
    assert curve.coverage == (0.25, 0.5, 0.75, 1.0)
    assert curve.risk == pytest.approx((0, 0, 1 / 3, 1 / 4))
    assert curve.area == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)
    assert curve.best_area == pytest.approx((0 + 0 + 0 + 1 / 4) / 4)


def test_constant_confidence_has_the_mean_loss_everywhere() -> None:
    loss = np.random.default_rng(0).integers(0, 2, 300).astype(float)
    curve = risk_coverage(np.full(300, 0.5), loss)
    np.testing.assert_allclose(curve.risk, loss.mean())
    assert curve.area == pytest.approx(loss.mean())


def test_threshold_has_the_largest_coverage_at_the_risk() -> None:
    confidence, loss = np.linspace(0.01, 1, 100), np.zeros(100)
    loss[:20] = 1.0  # the 20 least confident rows are wrong
    chosen = choose_threshold(confidence, loss, "risk", 0.1)
    assert chosen is not None
    selection = selected(confidence >= chosen.threshold, loss)
    assert selection.risk is not None
    assert selection.risk <= 0.1
    assert selection.answered == 88  # 8 of 88 are wrong; 9 of 89 would be more than a tenth
    assert selection.risk_interval is not None
    assert selection.risk_interval[0] < selection.risk < selection.risk_interval[1]


def test_threshold_keeps_the_coverage() -> None:
    confidence = np.random.default_rng(1).random(1_000)
    chosen = choose_threshold(confidence, np.zeros(1_000), "coverage", 0.8)
    assert chosen is not None
    assert selected(confidence >= chosen.threshold, np.zeros(1_000)).coverage == pytest.approx(0.8)


def test_coverage_is_not_more_than_needed() -> None:
    chosen = choose_threshold(np.linspace(0.01, 1, 100), np.zeros(100), "coverage", 0.07)  # 0.07 * 100 > 7
    assert chosen is not None
    assert selected(np.linspace(0.01, 1, 100) >= chosen.threshold, np.zeros(100)).answered == 7


def test_a_risk_that_no_threshold_keeps_has_none() -> None:
    assert choose_threshold(np.array([0.5, 0.9]), np.array([0.0, 1.0]), "risk", 0.1) is None


def test_all_rows_are_answered_where_the_risk_is_low_anyway() -> None:
    chosen = choose_threshold(np.array([0.5, 0.9]), np.array([0.0, 0.0]), "risk", 0.1)
    assert chosen is not None
    assert chosen.threshold == 0.0


def test_calibrated_confidence_gives_the_chosen_risk_on_new_rows() -> None:
    rng = np.random.default_rng(2)
    risks = []
    for _ in range(30):
        confidence = rng.random((2, 4_000))
        loss = (rng.random((2, 4_000)) > confidence).astype(float)
        chosen = choose_threshold(confidence[0], loss[0], "risk", 0.1)
        assert chosen is not None
        risks.append(selected(confidence[1] >= chosen.threshold, loss[1]).risk or 0.0)
        # The risk above a threshold t is (1 − t) / 2.
        assert chosen.threshold == pytest.approx(0.8, abs=0.1)
    assert np.mean(risks) == pytest.approx(0.1, abs=0.01)


def test_dependent_rows_have_no_intervals() -> None:
    selection = selected(np.array([False, True]), np.array([0.0, 1.0]), independent=False)
    assert selection.coverage_interval is None
    assert selection.risk_interval is None
