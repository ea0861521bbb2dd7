"""Attention layers whose weights can be read: as they are, or as part of the way to the answer, with a gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from netloom.explain.core.errors import ExplainError

# Layers whose output is weights times values, by the name of their class: generated code has classes of its own.
READABLE = (
    "MultiHeadAttention",
    "SelfAttention",
    "CrossAttention",
    "DotProductAttention",
    "LinearAttention",
    "AdditiveAttention",
    "GraphAttention",
    "WindowAttention",
    "AttentionPooling",
)
# More places than this make a map that neither memory nor people can hold.
MOST_PLACES = 1_600
# What becomes of the weights (N, heads, T, S) of a layer that is met in a forward.
Use = Callable[[torch.Tensor], torch.Tensor]


def reads(module: nn.Module) -> bool:
    """Whether a module is an attention layer whose weights can be read."""
    return type(module).__name__ in READABLE


@contextmanager
def captured(model: nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """While it is open, a forward leaves the weights of every attention layer (N, heads, T, S) in the order in which
    they act, by path; the answer is the same to the last bit. `model` is a private copy.

    A layer that runs several times has a number behind its path from the second time on.
    """
    kept: dict[str, torch.Tensor] = {}
    undo: list[Callable[[], Any]] = []
    for name, module in _layers(model):
        if hasattr(module, "capture"):
            object.__setattr__(module, "capture", True)
            undo += [module.register_forward_hook(_noted(kept, name)).remove]
        else:
            undo += _patched(module, _use(kept, name, None))
    try:
        yield kept
    finally:
        for step in undo:
            step()


@contextmanager
def readable(model: nn.Module, gates: Mapping[str, torch.Tensor] | None = None) -> Iterator[dict[str, torch.Tensor]]:
    """As `captured`, but the weights are part of the way to the answer, which is the same but for rounding.

    `gates` (N, heads) by path are what the weights of each head are multiplied by: 0 takes the head away.
    """
    kept: dict[str, torch.Tensor] = {}
    undo: list[Callable[[], Any]] = []
    for name, module in _layers(model):
        undo += _patched(module, _use(kept, name, gates))
    try:
        yield kept
    finally:
        for step in undo:
            step()


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, module) for name, module in model.named_modules() if reads(module)]


def _keep(kept: dict[str, torch.Tensor], name: str, weights: torch.Tensor) -> str:
    again = sum(key.partition(" ")[0] == name for key in kept)
    path = f"{name} {again + 1}" if again else name
    kept[path] = weights
    return path


def _noted(kept: dict[str, torch.Tensor], name: str) -> Callable[[Any, Any, Any], None]:
    def hook(module: Any, _: Any, __: Any) -> None:
        _keep(kept, name, module.attention)

    return hook


def _use(kept: dict[str, torch.Tensor], name: str, gates: Mapping[str, torch.Tensor] | None) -> Use:
    def use(weights: torch.Tensor) -> torch.Tensor:
        path = _keep(kept, name, weights)
        if gates is None or path not in gates:
            return weights
        kept[path] = weights * gates[path][:, :, None, None]
        return kept[path]

    return use


def _patched(module: Any, use: Use) -> list[Callable[[], Any]]:
    """Lead a layer's weights through `use`; what is returned takes it back."""
    kind = type(module).__name__
    if kind in ("GraphAttention", "AdditiveAttention"):
        return [_dropped(module, use)]
    if kind == "WindowAttention":
        return _windowed(module, use)
    ways = {"MultiHeadAttention": _whole, "LinearAttention": _linear, "AttentionPooling": _pooling}
    method = "forward" if kind in ways else "attend"
    object.__setattr__(module, method, ways.get(kind, _attending)(module, use))
    return [lambda: object.__delattr__(module, method)]


def _whole(module: Any, use: Use) -> Any:
    def forward(x: torch.Tensor) -> torch.Tensor:
        q, k, v = (module.split(project(x)) for project in (module.q, module.k, module.v))
        out: torch.Tensor = module.out((use(module.weights(q, k)) @ v).transpose(1, 2).flatten(2))
        return out

    return forward


def _attending(module: Any, use: Use) -> Any:
    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        bias, blind = module.bias(q, k, mask)
        mixed: torch.Tensor = (use(module.weights(q, k, bias, blind)) @ v).transpose(1, 2).flatten(2)
        return mixed

    return attend


def _linear(module: Any, use: Use) -> Any:
    """φ(q)·φ(k) in full, (T, S), which the layer itself never writes down."""

    def forward(x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        q = module.feature_q(module.split(module.q(x))) + 1.0
        k = module.feature_k(module.split(module.k(x))) + 1.0
        if mask is not None:
            k = k * mask.clamp(min=0.0)[:, None, :, None]
        weights = use(module.shares(q, k))
        out: torch.Tensor = module.out((weights @ module.split(module.v(x))).transpose(1, 2).flatten(2))
        return out

    return forward


def _pooling(module: Any, use: Use) -> Any:
    """The shares (N, T, 1) as a map of one head and one row, what gathers, (N, 1, 1, T)."""

    def forward(x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        scores = module.score(module.bend(module.project(x)))
        if mask is None:
            shares = module.softmax(scores)
        else:
            mask, least = mask.clamp(min=0.0).unsqueeze(2), torch.finfo(scores.dtype)
            shares = module.softmax(scores.masked_fill(mask == 0, least.min)) * mask
            shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=least.tiny)
        out: torch.Tensor = (use(shares.transpose(1, 2).unsqueeze(1))[:, 0].transpose(1, 2) * x).sum(dim=1)
        return out

    return forward


def _dropped(module: Any, use: Use) -> Callable[[], Any]:
    """Read weights where they pass the layer's dropout, which changes nothing outside of training."""
    single = type(module).__name__ == "AdditiveAttention"

    def hook(_: nn.Module, __: Any, weights: torch.Tensor) -> torch.Tensor:
        return use(weights.unsqueeze(1)).squeeze(1) if single else use(weights)

    handle = (module.drop if single else module.dropout).register_forward_hook(hook)
    return handle.remove  # type: ignore[no-any-return]


def _windowed(module: Any, use: Use) -> list[Callable[[], Any]]:
    """Lay the weights within each window (N, windows, heads, P, P) into a map of all places, (N, heads, H·W, H·W)."""
    size: list[int] = []

    def before(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        size[:] = given[0].shape[2:]
        if size[0] * size[1] > MOST_PLACES:
            raise ExplainError(
                f"The window attention covers {size[0]:,} × {size[1]:,} positions, which is too many for an attention "
                f"map; the maximum is {MOST_PLACES:,} positions."
            )

    def hook(_: nn.Module, __: Any, weights: torch.Tensor) -> torch.Tensor:
        places = _places(module, *size)  # (windows, P)
        many, pairs = size[0] * size[1], (places[:, :, None], places[:, None, :])
        full = weights.new_zeros(len(weights), module.heads, many, many)
        full[:, :, *pairs] = weights.transpose(1, 2)
        return use(full)[:, :, *pairs].transpose(1, 2)

    return [module.register_forward_pre_hook(before).remove, module.dropout.register_forward_hook(hook).remove]


def _places(module: Any, height: int, width: int) -> torch.Tensor:
    """Which place of the picture, counted row by row, each place of each window is, (windows, P)."""
    down, right = (module.window // 2 if module.shift and size > module.window else 0 for size in (height, width))
    numbers = torch.arange(height * width).reshape(1, height, width, 1).roll((-down, -right), (1, 2))
    places: torch.Tensor = module.windows(numbers)[0, :, :, 0]
    return places
