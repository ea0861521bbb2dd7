"""What the methods share that draw at random: generators of their own, and how far their estimates are off.

Nothing here touches the generators of torch, NumPy or Python that belong to the whole process, so that several people
can explain at the same time, and nobody waits for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from netloom.explain.core.groups import FeatureGroups

# How many independent estimates are made where a method is repeated with other random numbers.
REPEATS = 4
# Rows that stand for nothing are taken together in so many shares at most, each of which gives an estimate.
SHARES = 16


def generator(seed: int, repeat: int = 0) -> torch.Generator:
    """Random numbers for one repeat of a method with a seed."""
    return torch.Generator().manual_seed(seed * 1_000_003 + repeat)


def split_rows(rows: int) -> list[torch.Tensor]:
    """Which of so many rows each estimate is made of: 2 to `SHARES` estimates; one where there is but one row."""
    count = max(1, min(SHARES, rows))
    return [torch.arange(start, rows, count) for start in range(count)]


def paired_permutations(seed: int, repeat: int) -> Callable[[int, int], Iterator[list[int]]]:
    """Random orders of features for Captum's ShapleyValueSampling, each followed by its reverse, which halves the
    error and more: https://arxiv.org/abs/2104.12199."""
    random = generator(seed, repeat)

    def draw(features: int, count: int) -> Iterator[list[int]]:
        order: list[int] = []
        for number in range(count):
            order = torch.randperm(features, generator=random).tolist() if number % 2 == 0 else order[::-1]
            yield order

    return draw


def kernel_coalitions(groups: int, count: int, random: torch.Generator) -> torch.Tensor:
    """Choices of groups (count, groups), some but not all of them, drawn by Shapley's weights; each is followed by its
    complement, which makes the error smaller: https://arxiv.org/abs/2012.01536."""
    sizes = torch.arange(1, groups)
    pairs = -(-count // 2)
    size = sizes[torch.multinomial(1.0 / (sizes * (groups - sizes)), pairs, replacement=True, generator=random)]
    ranks = torch.rand(pairs, groups, generator=random).argsort(1).argsort(1)
    chosen = (ranks < size[:, None]).long()
    return torch.stack([chosen, 1 - chosen], dim=1).flatten(0, 1)[:count]


def combine_estimates(
    estimates: Sequence[dict[str, np.ndarray]], sizes: Sequence[float] = ()
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Independent estimates by field side by side, (R, …), and their mean, in which each counts by its size."""
    stacked = {name: np.stack([estimate[name] for estimate in estimates]) for name in estimates[0]}
    means = {
        name: np.asarray(np.average(values, axis=0, weights=sizes if len(sizes) else None))
        for name, values in stacked.items()
    }
    return stacked, means


def score_all_coalitions(groups: FeatureGroups) -> np.ndarray:
    """F of every choice of the groups, (2^groups,); bit k of a place says whether group k is there."""
    choices = (np.arange(2**groups.count)[:, None] >> np.arange(groups.count)) & 1
    scores: np.ndarray = groups.score(torch.from_numpy(choices)).double().numpy()
    return scores


def standard_error(estimates: np.ndarray) -> float | None:
    """The standard errors of the mean of independent estimates (R, parts), added up, relative to the sum of the sizes
    of the parts; None of fewer than two estimates, or where all parts are nothing."""
    if len(estimates) < 2:
        return None
    total = float(np.abs(estimates.mean(0)).sum())
    errors = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    return float(errors.sum()) / total if total > 0 else None
