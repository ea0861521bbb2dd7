"""Sampling of tokens against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from netloom.data import DataError
from netloom.runs.prediction.sampling import Sampling, TokenSampler, probabilities

SCORES = np.random.default_rng(0).normal(size=(40, 25)) * 3


def test_default_is_softmax() -> None:
    np.testing.assert_allclose(probabilities(SCORES, Sampling()), softmax(SCORES, axis=1), atol=1e-15)


@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_temperature_divides_the_scores(temperature: float) -> None:
    expected = softmax(SCORES / temperature, axis=1)
    np.testing.assert_allclose(probabilities(SCORES, Sampling(temperature)), expected, atol=1e-14)


def test_temperature_of_zero_is_greedy_and_the_limit_of_small_ones() -> None:
    greedy = np.eye(SCORES.shape[1])[SCORES.argmax(1)]
    np.testing.assert_array_equal(probabilities(SCORES, Sampling(0.0)), greedy)
    np.testing.assert_allclose(probabilities(SCORES, Sampling(1e-4)), greedy, atol=1e-12)
    np.testing.assert_array_equal(TokenSampler(Sampling(0.0, seed=5)).choose(SCORES), SCORES.argmax(1))


def test_equal_scores_are_greedy_like_argmax() -> None:
    scores = np.zeros((1, 4))
    assert TokenSampler(Sampling(0.0)).choose(scores)[0] == scores.argmax()


@pytest.mark.parametrize("kept", [1, 3, 25, 100])
def test_top_k_keeps_the_k_most_likely_in_proportion(kept: int) -> None:
    shares = probabilities(SCORES, Sampling(top_k=kept))
    full = softmax(SCORES, axis=1)
    for row, whole in zip(shares, full, strict=True):
        best = np.argsort(-whole)[:kept]
        assert set(np.flatnonzero(row)) == set(best)
        np.testing.assert_allclose(row[best], whole[best] / whole[best].sum(), atol=1e-14)


def test_top_k_keeps_exactly_k_of_equal_scores() -> None:
    assert np.count_nonzero(probabilities(np.zeros((1, 9)), Sampling(top_k=4))) == 4


@pytest.mark.parametrize("mass", [0.05, 0.5, 0.9])
def test_top_p_keeps_the_smallest_set_with_the_mass(mass: float) -> None:
    shares, full = probabilities(SCORES, Sampling(top_p=mass)), softmax(SCORES, axis=1)
    for row, whole in zip(shares, full, strict=True):
        kept = np.flatnonzero(row)
        assert whole[kept].sum() >= mass
        assert whole[kept].sum() - whole[kept].min() < mass, "one token fewer would not reach the mass"
        assert whole[kept].min() >= np.delete(whole, kept).max(initial=0)
        np.testing.assert_allclose(row[kept], whole[kept] / whole[kept].sum(), atol=1e-14)


def test_top_p_counts_the_mass_after_top_k() -> None:
    scores = np.log(np.array([[0.5, 0.3, 0.1, 0.1]]))
    # Of the two most likely, the first has 0.625 of the mass.
    np.testing.assert_allclose(probabilities(scores, Sampling(top_k=2, top_p=0.6)), [[1, 0, 0, 0]])
    np.testing.assert_allclose(probabilities(scores, Sampling(top_k=2, top_p=0.7)), [[0.625, 0.375, 0, 0]])


def test_frequencies_follow_the_probabilities() -> None:
    scores = np.log(np.array([[0.6, 0.25, 0.1, 0.05]])).repeat(20_000, axis=0)
    counts = np.bincount(TokenSampler(Sampling(seed=1)).choose(scores), minlength=4)
    # Four standard deviations of a binomial count.
    expected = np.array([0.6, 0.25, 0.1, 0.05]) * 20_000
    assert (abs(counts - expected) < 4 * np.sqrt(expected)).all(), counts


def test_seed_determines_the_tokens() -> None:
    first, again, other = (TokenSampler(Sampling(seed=seed)).choose(SCORES) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_excluded_tokens_are_never_chosen() -> None:
    sampler = TokenSampler(Sampling(seed=2), excluded=(0, 3))
    assert not {0, 3} & set(sampler.choose(SCORES.repeat(50, axis=0)).tolist())
    best = np.zeros((1, 4))
    best[0, 3] = 9
    assert TokenSampler(Sampling(0.0), excluded=(3,)).choose(best)[0] == 0


def test_tiny_temperature_does_not_overflow() -> None:
    assert np.isfinite(probabilities(SCORES * 1e6, Sampling(1e-6))).all()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_k": -1}, "top-k"),
        ({"top_p": 0.0}, "top-p"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], name: str) -> None:
    with pytest.raises(DataError, match=name):
        Sampling(**settings)  # type: ignore[arg-type]
