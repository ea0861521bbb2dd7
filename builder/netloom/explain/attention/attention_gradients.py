"""Attention weights and their gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.context import ExplanationContext


def attention_and_gradients(context: ExplanationContext) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Return A and ∂F/∂A of every attention layer, (heads, T, S) each, by path in execution order.

    The gradient is None where the score does not depend on the layer.
    """
    import torch

    from netloom.explain.core.network.attention_capture import trace_attention

    values = tuple(point.value.clone().requires_grad_() for point in context.points)
    with trace_attention(context.model) as weights_by_path:
        score = context.point_score(*values).sum()
    # Weights that do not depend on the input do not require gradients.
    differentiable = {name: weights for name, weights in weights_by_path.items() if weights.requires_grad}
    gradients = torch.autograd.grad(score, list(differentiable.values()), allow_unused=True) if differentiable else ()
    gradient_by_path = {
        name: _to_numpy(slope) for name, slope in zip(differentiable, gradients, strict=True) if slope is not None
    }
    return {name: (_to_numpy(weights), gradient_by_path.get(name)) for name, weights in weights_by_path.items()}


def _to_numpy(values: torch.Tensor) -> np.ndarray:
    # (1, heads, T, S) -> (heads, T, S)
    array: np.ndarray = values[0].detach().double().numpy()
    return array


def weighted_attention(context: ExplanationContext) -> dict[str, np.ndarray]:
    """Return A ⊙ ∂F/∂A of every attention layer, (heads, T, S), by path in execution order."""
    attention = attention_and_gradients(context)
    return {name: weights * (0.0 if slope is None else slope) for name, (weights, slope) in attention.items()}
