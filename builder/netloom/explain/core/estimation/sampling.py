"""Random generators and sampling errors of the methods that draw at random.

The global generators of torch, NumPy and Python are not used, so that concurrent explanations are reproducible without
a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from netloom.explain.core.estimation.groups import FeatureGroups

# The number of independent estimates of a sampling method.
REPEATS = 4
# By default, a Shapley or surrogate method draws as many samples as this many FLOPs allow.
FLOP_BUDGET = 2 * 10**10
# Baseline rows are divided into at most this many shares, each of which gives an estimate.
SHARES = 16


def generator(seed: int, repeat: int = 0) -> torch.Generator:
    """Return the random generator of one repeat."""
    # The factor keeps the repeats of one seed apart from those of the next.
    return torch.Generator().manual_seed(seed * 1_000_003 + repeat)


def split_rows(rows: int) -> list[torch.Tensor]:
    """Divide row indexes into at most `SHARES` shares, one for each estimate."""
    count = max(1, min(SHARES, rows))
    return [torch.arange(start, rows, count) for start in range(count)]


def paired_permutations(seed: int, repeat: int) -> Callable[[int, int], Iterator[list[int]]]:
    """Return a generator of permutations for Captum's ShapleyValueSampling, each followed by its reverse.

    The pairs more than halve the error: Mitchell et al. 2021, https://arxiv.org/abs/2104.12199
    """
    random = generator(seed, repeat)

    def draw(features: int, count: int) -> Iterator[list[int]]:
        order: list[int] = []
        for number in range(count):
            order = torch.randperm(features, generator=random).tolist() if number % 2 == 0 else order[::-1]
            yield order

    return draw


def kernel_coalitions(groups: int, count: int, random: torch.Generator) -> torch.Tensor:
    """Draw coalitions (count, groups) from the Shapley kernel, without the empty and the full one.

    Each is followed by its complement, which reduces the error: Covert and Lee 2020, https://arxiv.org/abs/2012.01536
    """
    sizes = torch.arange(1, groups)
    pairs = -(-count // 2)
    # Summed over all coalitions of one size, the Shapley kernel is proportional to 1 / (size · (groups − size)).
    size = sizes[torch.multinomial(1.0 / (sizes * (groups - sizes)), pairs, replacement=True, generator=random)]
    # Given its size, every coalition is equally likely: the groups with the lowest random ranks.
    ranks = torch.rand(pairs, groups, generator=random).argsort(1).argsort(1)
    chosen = (ranks < size[:, None]).long()
    return torch.stack([chosen, 1 - chosen], dim=1).flatten(0, 1)[:count]


def combine_estimates(
    estimates: Sequence[dict[str, np.ndarray]], sizes: Sequence[float] = ()
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return independent estimates by field, stacked to (R, …), and their mean, weighted by `sizes`."""
    stacked = {name: np.stack([estimate[name] for estimate in estimates]) for name in estimates[0]}
    means = {
        name: np.asarray(np.average(values, axis=0, weights=sizes if len(sizes) else None))
        for name, values in stacked.items()
    }
    return stacked, means


def score_all_coalitions(groups: FeatureGroups) -> np.ndarray:
    """Compute F of every coalition, (2^groups,); bit k of an index says whether group k is present."""
    choices = (np.arange(2**groups.count)[:, None] >> np.arange(groups.count)) & 1  # (2^groups, groups)
    scores: np.ndarray = groups.score(torch.from_numpy(choices)).double().numpy()
    return scores


def standard_error(estimates: np.ndarray) -> float | None:
    """Return the relative standard error of the mean of independent estimates (R, features).

    It is the sum of the standard errors, divided by the sum of magnitudes; None for fewer than two estimates, or if all
    attributions are 0.
    """
    if len(estimates) < 2:
        return None
    total = float(np.abs(estimates.mean(0)).sum())
    errors = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    return float(errors.sum()) / total if total > 0 else None
