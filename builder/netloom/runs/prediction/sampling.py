"""Sampling of tokens from the scores of a network: temperature, top-k and top-p (nucleus) sampling.

Fan, Lewis and Dauphin, https://arxiv.org/abs/1805.04833 (top-k); Holtzman et al., https://arxiv.org/abs/1904.09751
(top-p). The order is that of other libraries: temperature, top-k, top-p.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from netloom.core.errors import DataError


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Args:
        temperature: The divisor of the scores: below 1, likely tokens become more likely; 0 always chooses the most
            likely one.
        top_k: Only the `top_k` most likely tokens can be chosen; 0 for all.
        top_p: Only the most likely tokens whose probabilities add up to `top_p` can be chosen; 1 for all.
        seed: Equal seeds give equal texts.

    Raises:
        DataError: a value is out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, fits, expected in (
            ("temperature", self.temperature, 0 <= self.temperature <= 100, "a number from 0 to 100"),
            ("top-k", self.top_k, self.top_k >= 0, "an integer from 0"),
            ("top-p", self.top_p, 0 < self.top_p <= 1, "a number above 0 and at most 1"),
            ("seed", self.seed, self.seed >= 0, "an integer from 0"),
        ):
            if not fits:
                raise DataError(f"The {name} must be {expected}; received {value!r}.")


class TokenSampler:
    """Draws tokens, one after the other, with a random state of its own.

    Args:
        excluded: Tokens that are never chosen, such as padding.
    """

    def __init__(self, sampling: Sampling, excluded: Collection[int] = ()) -> None:
        self.sampling, self._excluded = sampling, list(excluded)
        self._random = np.random.default_rng(sampling.seed)

    def choose(self, scores: np.ndarray) -> np.ndarray:
        """Return a token for each row of scores (N, vocabulary), int64 (N,)."""
        shares = self.probabilities(scores).cumsum(axis=1)
        # One number per row, also where the choice is certain, so that a row does not change those after it.
        drawn = self._random.random(len(scores))[:, None] * shares[:, -1:]
        return np.asarray((shares <= drawn).sum(axis=1), dtype=np.int64)

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return the probability of each token, float64 (N, vocabulary), from scores of that shape."""
        scores = scores.astype(np.float64)
        scores[:, self._excluded] = -np.inf
        return probabilities(scores, self.sampling)


def probabilities(scores: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Return the probability with which each token is chosen, float64 (N, vocabulary), from scores (N, vocabulary)."""
    # Descending; among equal scores the first token, as `argmax` chooses it.
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    if sampling.temperature == 0:
        shares = np.zeros_like(ranked)
        shares[:, 0] = 1
    else:
        # The largest exponent is 0, so that a small temperature cannot overflow.
        shares = np.exp((ranked - ranked[:, :1]) / sampling.temperature)
    if sampling.top_k:
        shares[:, sampling.top_k :] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    # A token is kept if those before it do not reach the mass yet, so that at least one always is.
    if sampling.top_p < 1:
        shares[shares.cumsum(axis=1) - shares >= sampling.top_p] = 0
        shares /= shares.sum(axis=1, keepdims=True)
    result = np.empty_like(shares)
    np.put_along_axis(result, order, shares, axis=1)
    return result
