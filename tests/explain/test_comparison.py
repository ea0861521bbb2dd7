"""Comparing two explanations."""

from __future__ import annotations

import json
from dataclasses import replace
from math import comb

import numpy as np
import pytest

from netloom.explain import ExplainError, explain
from netloom.explain.comparison import Side, color_bounds, compare, explain_and_compare, rank_agreement
from netloom.explain.evidence.randomization_test import shuffle_weights
from tests.explain.models import fresh, trained


def test_top_feature_overlap_chance_matches_hypergeometric() -> None:
    first = np.arange(30.0) + 1
    second = first.copy()
    second[[29, 28]] = 0.1  # four of the six strongest remain
    agreement = rank_agreement(first, second)
    assert (agreement.parts, agreement.top, agreement.overlap) == (30, 6, 4)
    assert agreement.top_chance == pytest.approx(
        sum(comb(6, same) * comb(24, 6 - same) for same in (4, 5, 6)) / comb(30, 6)
    )
    assert agreement.expected == pytest.approx(36 / 30)
    # Ranks 1 and 2 are tied at 1.5; all others move up by two.
    distance = np.square(np.array([1.5, 1.5, *range(3, 31)]) - np.array([30, 29, *range(1, 29)])).sum()
    ties = 2 * (2**2 - 1) / 12
    variance = 30 * (30**2 - 1) / 12
    assert agreement.spearman == pytest.approx(
        (2 * variance - ties - distance) / 2 / np.sqrt(variance * (variance - ties))
    )


@pytest.mark.long
def test_agreement_p_values_are_calibrated() -> None:
    """For two independent rankings, p ≤ 0.05 occurs in about 1 of 20 cases."""
    random = np.random.default_rng(0)
    drawn = [rank_agreement(*random.normal(size=(2, 12)), seed=index).chance or 0.0 for index in range(120)]
    assert 0.0 < np.mean(np.array(drawn) <= 0.05) <= 0.1
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.07)
    same = np.arange(1.0, 13.0)
    assert rank_agreement(same, same).chance == pytest.approx(1 / 1000)
    assert rank_agreement(same[:5], same[:5]).chance == pytest.approx(1 / 120), "all 120 permutations are tried"
    turned = rank_agreement(same, -same)
    assert turned.spearman == pytest.approx(-1.0)
    assert turned.chance == pytest.approx(1.0)
    assert turned.overlap == turned.top, "the magnitudes are equal"


@pytest.mark.long
def test_spatial_shift_null_controls_false_agreement() -> None:
    """Two independent smooth curves agree by chance far more often than a permutation test suggests."""
    random = np.random.default_rng(1)
    naive, shifted = [], []
    for _ in range(60):
        first, second = (np.convolve(random.normal(size=100), np.ones(25), "valid") for _ in range(2))
        naive.append((rank_agreement(first, second).chance or 0) <= 0.05)
        shifted.append((rank_agreement(first, second, is_spatial=True).chance or 0) <= 0.05)
    assert np.mean(naive) > 0.25
    assert np.mean(shifted) < 0.17


def test_features_zero_in_both_are_ignored() -> None:
    first, second = np.array([3.0, -1.0, 2.0, 0.5]), np.array([2.0, -3.0, 1.0, 0.7])
    empty = np.zeros(50)
    alone, padded = rank_agreement(first, second), rank_agreement(np.append(first, empty), np.append(second, empty))
    assert (padded.spearman, padded.parts) == (alone.spearman, 4)
    assert rank_agreement(empty, empty).spearman is None
    assert "too few" in rank_agreement(first[:2], second[:2]).sentence


def test_methods_are_compared_on_one_scale() -> None:
    side = Side(trained("table"), "integrated_gradients")
    comparison = explain_and_compare(side, replace(side, method="saliency"), 3)
    assert comparison.scaled
    assert not comparison.agreement.signed
    assert "gives no signs" in comparison.agreement.sentence
    first, second = comparison.pair
    for parts in (first, second):
        assert np.abs(parts["features"]).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(comparison.differences["features"], second["features"] - first["features"])
    assert comparison.bounds["features"] == max(np.abs(first["features"]).max(), np.abs(second["features"]).max())
    assert json.loads(json.dumps(comparison.as_json()))["agreement"]["parts"] == comparison.agreement.parts
    assert json.dumps(comparison.as_json(), allow_nan=False)


def test_networks_are_compared_on_the_same_target() -> None:
    """Also where the second network predicts another class; differences are in units of the score."""
    run = trained("table")
    other = replace(run, model=shuffle_weights(run.model, 1))
    rows = run.data.split["test"].tolist()
    comparisons = [explain_and_compare(Side(run, "saliency"), Side(other, "saliency"), int(row)) for row in rows[:12]]
    assert any(comparison.first.prediction.text != comparison.second.prediction.text for comparison in comparisons)
    for comparison in comparisons:
        assert comparison.first.target == comparison.second.target
        assert comparison.first.target.name == comparison.first.prediction.text
        assert not comparison.scaled
        np.testing.assert_allclose(
            comparison.differences["features"],
            comparison.second.attributions["features"] - comparison.first.attributions["features"],
        )
    bounds = color_bounds([{"image": np.array([[[1.0]], [[-3.0]]])}])
    assert bounds == {"image": 2.0}, "the channels of a pixel are summed"


def test_identical_explanations_agree_fully() -> None:
    explanation = explain(fresh("transformer"), "integrated_gradients", 5)
    comparison = compare(explanation, explanation)
    assert comparison.agreement.spearman == pytest.approx(1.0)
    assert comparison.agreement.overlap == comparison.agreement.top
    assert "strong" in comparison.agreement.sentence
    assert not np.any(comparison.differences["text"])


def test_incomparable_explanations_are_refused() -> None:
    table, image = trained("table"), fresh("image")
    with pytest.raises(ExplainError, match="have different targets: one predicts"):
        explain_and_compare(Side(table, "saliency"), Side(image, "saliency"), 3)
    first = explain(table, "saliency", 3)
    with pytest.raises(ExplainError, match="The inputs differ: the explanations are of different examples"):
        compare(first, explain(table, "saliency", 4, target=first.target))
    with pytest.raises(ExplainError, match="explanations have different targets"):
        compare(first, explain(table, "saliency", 3, target=1 - first.target.index))
    with pytest.raises(ExplainError, match="explains a layer"):
        compare(first, explain(table, "layer_activation", 3))
    narrower = replace(first, attributions={"features": first.attributions["features"][:9]})
    with pytest.raises(ExplainError, match="one has features 30, the other features 9"):
        compare(first, narrower)
