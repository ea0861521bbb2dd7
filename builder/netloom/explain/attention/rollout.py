"""Attention rollout, and the rank correlation of two rankings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def rollout(layers: Sequence[np.ndarray]) -> np.ndarray:
    """Multiply the attention (heads, T, T) of consecutive layers into one map (T, T) whose rows sum to 1.

    Each layer is the mean over heads, averaged with the identity for the residual connection. Abnar and Zuidema 2020,
    https://arxiv.org/abs/2005.00928
    """
    total = np.eye(layers[0].shape[-1])  # (T, T)
    for weights in layers:
        # Attention and residual connection have equal weights, as in the paper.
        mixed = 0.5 * weights.mean(axis=0) + 0.5 * np.eye(weights.shape[-1])
        total = (mixed / mixed.sum(axis=1, keepdims=True)) @ total
    return total


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Compute Spearman's rank correlation; None if one ranking is constant or contains NaN."""
    from scipy.stats import spearmanr

    # SciPy returns NaN in these cases, and warns about constant rankings.
    if any(np.isnan(values).any() or (values == values[:1]).all() for values in map(np.asarray, (first, second))):
        return None
    return float(spearmanr(first, second).statistic)
