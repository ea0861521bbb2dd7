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
    """Spearman's rank correlation; None where one of the rankings is constant, or holds what is not a number."""
    from scipy.stats import spearmanr

    # SciPy answers NaN for these, with a warning for the constant ones.
    if any(np.isnan(values).any() or (values == values[:1]).all() for values in map(np.asarray, (first, second))):
        return None
    return float(spearmanr(first, second).statistic)
