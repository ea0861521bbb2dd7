"""What flows through several attention layers, and how two rankings agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def rollout(layers: Sequence[np.ndarray]) -> np.ndarray:
    """Attention (heads, T, T) of layers that follow each other, as one map (T, T) whose rows sum to 1.

    The mean over the heads, half of it given to the residual path, multiplied from the first layer to the last.
    Abnar and Zuidema 2020, https://arxiv.org/abs/2005.00928
    """
    total = np.eye(layers[0].shape[-1])
    for weights in layers:
        mixed = 0.5 * weights.mean(axis=0) + 0.5 * np.eye(weights.shape[-1])
        total = (mixed / mixed.sum(axis=1, keepdims=True)) @ total
    return total


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """The correlation of two rankings, ties sharing their mean rank; None where one of them is constant."""
    a, b = (ranks(np.asarray(values, dtype=np.float64)) for values in (first, second))
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else None


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, from 1; ties share their mean rank."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    found: np.ndarray = (ends - (count - 1) / 2)[place]
    return found
