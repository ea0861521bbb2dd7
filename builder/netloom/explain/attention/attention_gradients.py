"""Attention weights and their gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.context import Subject


def slopes(subject: Subject) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """A and ∂F/∂A of every attention layer, (heads, T, S), by its path, in the order in which they act. There is no
    slope where the answer does not depend on the layer."""
    import torch

    from netloom.explain.core.attention_capture import readable

    values = tuple(point.value.clone().requires_grad_() for point in subject.points)
    with readable(subject.model) as kept:
        score = subject.point_score(*values).sum()
    # Weights that do not depend on what comes in have no gradient of their own.
    known = {name: weights for name, weights in kept.items() if weights.requires_grad}
    found = torch.autograd.grad(score, list(known.values()), allow_unused=True) if known else ()
    told = {name: _array(slope) for name, slope in zip(known, found, strict=True) if slope is not None}
    return {name: (_array(weights), told.get(name)) for name, weights in kept.items()}


def _array(values: torch.Tensor) -> np.ndarray:
    found: np.ndarray = values[0].detach().double().numpy()
    return found


def weighted_attention(subject: Subject) -> dict[str, np.ndarray]:
    """A ⊙ ∂F/∂A of every attention layer, (heads, T, S), by its path, in the order in which they act."""
    found = slopes(subject)
    return {name: weights * (0.0 if slope is None else slope) for name, (weights, slope) in found.items()}
