"""Summary statistics of a head's attention map, and the pattern that they show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netloom.explain.attention.rollout import spearman
from netloom.explain.core.explanation import AttentionLayer, AttentionMaps

# The first character of special tokens, such as padding, the start of an answer or a class token.
SPECIAL_PREFIX = "⟨"


@dataclass(frozen=True)
class HeadFigures:
    """Statistics of one head.

    `entropy` is from 0 (one position) to 1 (uniform over the attended positions), and `distance` is the mean distance
    in positions. `first`, `before`, `itself` and `special` are the shares of attention on the first position, the
    previous one, the query itself and special tokens. `agreement` is Spearman's correlation with the effect of removing
    positions. Values that are undefined between two sequences are None.
    """

    entropy: float
    distance: float | None
    first: float
    before: float | None
    itself: float | None
    special: float
    agreement: float | None


def head_figures(maps: AttentionMaps, layer: AttentionLayer) -> list[HeadFigures]:
    """Compute the statistics of each head of a layer over positions that are not padding."""
    rows, columns = (side or maps.tokens for side in (layer.query_labels, layer.key_labels))
    is_self_attention = layer.streams[0] == layer.streams[1] and len(rows) == len(columns)
    is_token = [np.array([bool(token) for token in side]) for side in (rows, columns)]
    special = np.array([token.startswith(SPECIAL_PREFIX) for token in columns]) | ~is_token[1]
    effects = maps.streams[layer.streams[1]].effect_array if maps.streams else None
    return [_figures(weights, is_token, special, effects, within=is_self_attention) for weights in layer.weights]


def _figures(
    weights: np.ndarray, is_token: list[np.ndarray], special: np.ndarray, effects: np.ndarray | None, *, within: bool
) -> HeadFigures:
    is_query = is_token[0] & (weights.sum(axis=1) > 0)
    if not is_query.any():
        return HeadFigures(0.0, None, 0.0, None, None, 0.0, None)
    shares = weights[is_query] / weights[is_query].sum(axis=1, keepdims=True)  # (queries, S)
    positions = np.flatnonzero(is_query)
    attended_count = (shares > 0).sum(axis=1)
    # The entropy in nats; below, it is divided by that of uniform attention to the attended positions.
    spread = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1)
    entropy = (
        float((spread[attended_count > 1] / np.log(attended_count[attended_count > 1])).mean())
        if (attended_count > 1).any()
        else 0.0
    )
    mean_shares, agreement = shares.mean(axis=0), None
    if effects is not None:
        is_known = np.isfinite(effects)
        agreement = spearman(mean_shares[is_known], np.abs(effects[is_known])) if is_known.sum() > 1 else None
    distance = before = itself = None
    if within:
        distances = np.abs(positions[:, None] - np.arange(shares.shape[1]))
        distance = float((shares * distances).sum(axis=1).mean())
        itself = float(shares[np.arange(len(positions)), positions].mean())
        later = positions > 0
        # The first position does not have a previous one.
        before = float(shares[later, positions[later] - 1].mean()) if later.any() else 0.0
    return HeadFigures(
        entropy, distance, float(mean_shares[0]), before, itself, float(mean_shares[special].sum()), agreement
    )


def describe_pattern(head: HeadFigures) -> str:
    """Describe the pattern of a head in a few words."""
    patterns = (
        (head.before, "the previous position"),
        (head.itself, "its own position"),
        (head.first, "the first position"),
    )
    for share, text in patterns:
        if share is not None and share >= 0.5:
            return f"attends to {text} ({share:.0%})"
    if head.special >= 0.5:
        return f"attends to special tokens ({head.special:.0%})"
    if head.entropy >= 0.9:
        return "attends to all positions equally"
    return "attends to few positions" if head.entropy <= 0.5 else "attends to some positions more than others"
