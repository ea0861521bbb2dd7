"""Two explanations held against each other."""

from __future__ import annotations

import json
from dataclasses import replace
from math import comb

import numpy as np
import pytest

from netloom.explain import ExplainError, explain
from netloom.explain.evidence.comparison import Side, color_bounds, compare, explain_and_compare, rank_agreement
from netloom.explain.evidence.randomization_test import shuffle_weights
from tests.explain.models import fresh, trained


def test_the_strongest_parts_overlap_by_chance_as_counting_says() -> None:
    one = np.arange(30.0) + 1
    other = one.copy()
    other[[29, 28]] = 0.1  # of the six strongest, four remain
    found = rank_agreement(one, other)
    assert (found.parts, found.top, found.overlap) == (30, 6, 4)
    assert found.top_chance == pytest.approx(
        sum(comb(6, same) * comb(24, 6 - same) for same in (4, 5, 6)) / comb(30, 6)
    )
    assert found.expected == pytest.approx(36 / 30)
    # 1.5 is shared by ranks 1 and 2, all others move up by two.
    distance = np.square(np.array([1.5, 1.5, *range(3, 31)]) - np.array([30, 29, *range(1, 29)])).sum()
    ties = 2 * (2**2 - 1) / 12
    whole = 30 * (30**2 - 1) / 12
    assert found.spearman == pytest.approx((2 * whole - ties - distance) / 2 / np.sqrt(whole * (whole - ties)))


def test_chance_is_what_it_says() -> None:
    """Of two rankings that have nothing to do with each other, 1 in 20 looks as rare as 1 in 20."""
    random = np.random.default_rng(0)
    drawn = [rank_agreement(*random.normal(size=(2, 12)), seed=place).chance or 0.0 for place in range(120)]
    assert 0.0 < np.mean(np.array(drawn) <= 0.05) <= 0.1
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.07)
    same = np.arange(1.0, 13.0)
    assert rank_agreement(same, same).chance == pytest.approx(1 / 1000)
    assert rank_agreement(same[:5], same[:5]).chance == pytest.approx(1 / 120), "all 120 orders are tried"
    turned = rank_agreement(same, -same)
    assert turned.spearman == pytest.approx(-1.0)
    assert turned.chance == pytest.approx(1.0)
    assert turned.overlap == turned.top, "the sizes are the same"


def test_neighbours_are_no_proof() -> None:
    """Two smooth waves agree by chance far more often than orders that are drawn part by part suggest."""
    random = np.random.default_rng(1)
    naive, turned = [], []
    for _ in range(60):
        one, other = (np.convolve(random.normal(size=100), np.ones(25), "valid") for _ in range(2))
        naive.append((rank_agreement(one, other).chance or 0) <= 0.05)
        turned.append((rank_agreement(one, other, is_spatial=True).chance or 0) <= 0.05)
    assert np.mean(naive) > 0.25
    assert np.mean(turned) < 0.17


def test_parts_that_are_nothing_to_both_do_not_count() -> None:
    one, other = np.array([3.0, -1.0, 2.0, 0.5]), np.array([2.0, -3.0, 1.0, 0.7])
    empty = np.zeros(50)
    alone, padded = rank_agreement(one, other), rank_agreement(np.append(one, empty), np.append(other, empty))
    assert (padded.spearman, padded.parts) == (alone.spearman, 4)
    assert rank_agreement(empty, empty).spearman is None
    assert "too few" in rank_agreement(one[:2], other[:2]).sentence


def test_two_methods_on_one_scale() -> None:
    side = Side(trained("table"), "integrated_gradients")
    found = explain_and_compare(side, replace(side, method="saliency"), 3)
    assert found.scaled
    assert not found.agreement.signed
    assert "gives no signs" in found.agreement.sentence
    one, other = found.pair
    for parts in (one, other):
        assert np.abs(parts["features"]).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(found.differences["features"], other["features"] - one["features"])
    assert found.bounds["features"] == max(np.abs(one["features"]).max(), np.abs(other["features"]).max())
    assert json.loads(json.dumps(found.as_json()))["agreement"]["parts"] == found.agreement.parts
    assert json.dumps(found.as_json(), allow_nan=False)


def test_two_networks_explain_the_same_number() -> None:
    """Also where the second answers otherwise; the difference is in the units of the answer."""
    run = trained("table")
    other = replace(run, model=shuffle_weights(run.model, 1))
    rows = run.data.split["test"].tolist()
    found = [explain_and_compare(Side(run, "saliency"), Side(other, "saliency"), int(row)) for row in rows[:12]]
    assert any(one.first.prediction.text != one.second.prediction.text for one in found)
    for one in found:
        assert one.first.target == one.second.target
        assert one.first.target.name == one.first.prediction.text
        assert not one.scaled
        np.testing.assert_allclose(
            one.differences["features"], one.second.attributions["features"] - one.first.attributions["features"]
        )
    summed = color_bounds([{"image": np.array([[[1.0]], [[-3.0]]])}])
    assert summed == {"image": 2.0}, "a pixel is drawn with all its channels"


def test_the_same_twice_agrees_wholly() -> None:
    one = explain(fresh("transformer"), "integrated_gradients", 5)
    found = compare(one, one)
    assert found.agreement.spearman == pytest.approx(1.0)
    assert found.agreement.overlap == found.agreement.top
    assert "strong" in found.agreement.sentence
    assert not np.any(found.differences["text"])


def test_what_cannot_be_compared_is_refused_in_a_sentence() -> None:
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
