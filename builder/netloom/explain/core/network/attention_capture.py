"""Read the weights of attention layers, either unchanged or as part of the computation with gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from netloom.explain.core.errors import ExplainError
from netloom.layers import module_layer

# The largest number of positions of an attention map, limited by memory and readability.
MAX_POSITIONS = 1_600
# Transforms the weights (N, heads, T, S) of a layer during the forward pass.
WeightsTransform = Callable[[torch.Tensor], torch.Tensor]


def is_readable(module: nn.Module) -> bool:
    """Return whether a module is an attention layer whose weights can be read."""
    return module_layer(module).attention_queries is not None


@contextmanager
def capture_attention(model: nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """Record the weights (N, heads, T, S) of every attention layer by path, in execution order, in each forward pass.

    `model` is a private copy; its outputs stay bit-identical. If a layer runs several times, a number follows its path
    from the second time on.
    """
    weights: dict[str, torch.Tensor] = {}
    restore: list[Callable[[], Any]] = []
    for name, module in _layers(model):
        if hasattr(module, "capture"):
            object.__setattr__(module, "capture", True)
            restore += [module.register_forward_hook(_storing_hook(weights, name)).remove]
        else:
            restore += _patch(module, _weights_transform(weights, name, None))
    try:
        yield weights
    finally:
        for restore_layer in restore:
            restore_layer()


@contextmanager
def trace_attention(
    model: nn.Module, gates: Mapping[str, torch.Tensor] | None = None
) -> Iterator[dict[str, torch.Tensor]]:
    """Record weights as `capture_attention`, but as part of the computation, so that they have gradients.

    The outputs are equal up to rounding. `gates` (N, heads) by path multiply the weights of each head: 0 removes the
    head.
    """
    weights: dict[str, torch.Tensor] = {}
    restore: list[Callable[[], Any]] = []
    for name, module in _layers(model):
        restore += _patch(module, _weights_transform(weights, name, gates))
    try:
        yield weights
    finally:
        for restore_layer in restore:
            restore_layer()


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, module) for name, module in model.named_modules() if is_readable(module)]


def _store(stored: dict[str, torch.Tensor], name: str, weights: torch.Tensor) -> str:
    runs = sum(key.partition(" ")[0] == name for key in stored)
    path = f"{name} {runs + 1}" if runs else name
    stored[path] = weights
    return path


def _storing_hook(stored: dict[str, torch.Tensor], name: str) -> Callable[[Any, Any, Any], None]:
    def hook(module: Any, _: Any, __: Any) -> None:
        _store(stored, name, module.attention)

    return hook


def _weights_transform(
    stored: dict[str, torch.Tensor], name: str, gates: Mapping[str, torch.Tensor] | None
) -> WeightsTransform:
    def transform(weights: torch.Tensor) -> torch.Tensor:
        path = _store(stored, name, weights)
        if gates is None or path not in gates:
            return weights
        stored[path] = weights * gates[path][:, :, None, None]
        return stored[path]

    return transform


def _patch(module: Any, transform: WeightsTransform) -> list[Callable[[], Any]]:
    """Apply `transform` to a layer's weights, and return the functions that undo it."""
    class_name = type(module).__name__
    if class_name in ("GraphAttention", "AdditiveAttention"):
        return [_hook_dropout(module, transform)]
    if class_name == "WindowAttention":
        return _hook_windows(module, transform)
    forwards = {
        "MultiHeadAttention": _multi_head_forward,
        "LinearAttention": _linear_forward,
        "AttentionPooling": _pooling_forward,
    }
    method = "forward" if class_name in forwards else "attend"
    object.__setattr__(module, method, forwards.get(class_name, _attend)(module, transform))
    return [lambda: object.__delattr__(module, method)]


def _multi_head_forward(module: Any, transform: WeightsTransform) -> Any:
    def forward(x: torch.Tensor) -> torch.Tensor:
        q, k, v = (module.split(project(x)) for project in (module.q, module.k, module.v))
        out: torch.Tensor = module.out((transform(module.weights(q, k)) @ v).transpose(1, 2).flatten(2))
        return out

    return forward


def _attend(module: Any, transform: WeightsTransform) -> Any:
    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        bias, blind = module.bias(q, k, mask)
        mixed: torch.Tensor = (transform(module.weights(q, k, bias, blind)) @ v).transpose(1, 2).flatten(2)
        return mixed

    return attend


def _linear_forward(module: Any, transform: WeightsTransform) -> Any:
    """Compute φ(q)·φ(k) as a full map (T, S), which the layer itself never materializes."""

    def forward(x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        # φ(x) = ELU(x) + 1 (Katharopoulos et al. 2020, https://arxiv.org/abs/2006.16236)
        q = module.feature_q(module.split(module.q(x))) + 1.0
        k = module.feature_k(module.split(module.k(x))) + 1.0
        if mask is not None:
            k = k * mask.clamp(min=0.0)[:, None, :, None]
        weights = transform(module.shares(q, k))
        out: torch.Tensor = module.out((weights @ module.split(module.v(x))).transpose(1, 2).flatten(2))
        return out

    return forward


def _pooling_forward(module: Any, transform: WeightsTransform) -> Any:
    """Record the pooling weights (N, T, 1) as a map with one head and one query, (N, 1, 1, T)."""

    def forward(x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        scores = module.score(module.bend(module.project(x)))
        if mask is None:
            shares = module.softmax(scores)
        else:
            mask, least = mask.clamp(min=0.0).unsqueeze(2), torch.finfo(scores.dtype)
            shares = module.softmax(scores.masked_fill(mask == 0, least.min)) * mask
            shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=least.tiny)
        out: torch.Tensor = (transform(shares.transpose(1, 2).unsqueeze(1))[:, 0].transpose(1, 2) * x).sum(dim=1)
        return out

    return forward


def _hook_dropout(module: Any, transform: WeightsTransform) -> Callable[[], Any]:
    """Read the weights at the layer's dropout, which is the identity in evaluation mode."""
    is_additive = type(module).__name__ == "AdditiveAttention"

    def hook(_: nn.Module, __: Any, weights: torch.Tensor) -> torch.Tensor:
        return transform(weights.unsqueeze(1)).squeeze(1) if is_additive else transform(weights)

    handle = (module.drop if is_additive else module.dropout).register_forward_hook(hook)
    return handle.remove  # type: ignore[no-any-return]


def _hook_windows(module: Any, transform: WeightsTransform) -> list[Callable[[], Any]]:
    """Scatter the weights within windows (N, windows, heads, P, P) into a map of all positions, (N, heads, H·W, H·W).

    Raises:
        ExplainError: The feature map has more than `MAX_POSITIONS` positions.
    """
    size: list[int] = []

    def before(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        size[:] = inputs[0].shape[2:]
        if size[0] * size[1] > MAX_POSITIONS:
            raise ExplainError(
                f"The window attention covers {size[0]:,} × {size[1]:,} positions, which is too many for an attention "
                f"map; the maximum is {MAX_POSITIONS:,} positions."
            )

    def hook(_: nn.Module, __: Any, weights: torch.Tensor) -> torch.Tensor:
        positions = _window_positions(module, *size)  # (windows, P)
        many, pairs = size[0] * size[1], (positions[:, :, None], positions[:, None, :])
        full = weights.new_zeros(len(weights), module.heads, many, many)
        full[:, :, *pairs] = weights.transpose(1, 2)  # (N, windows, heads, P, P) -> (N, heads, windows, P, P)
        return transform(full)[:, :, *pairs].transpose(1, 2)

    return [module.register_forward_pre_hook(before).remove, module.dropout.register_forward_hook(hook).remove]


def _window_positions(module: Any, height: int, width: int) -> torch.Tensor:
    """Return the position in the feature map, in row-major order, of each position of each window, (windows, P)."""
    shift_down, shift_right = (
        module.window // 2 if module.shift and size > module.window else 0 for size in (height, width)
    )
    # The shift and the partition of the layer, applied to the position numbers
    numbers = torch.arange(height * width).reshape(1, height, width, 1).roll((-shift_down, -shift_right), (1, 2))
    positions: torch.Tensor = module.windows(numbers)[0, :, :, 0]
    return positions
