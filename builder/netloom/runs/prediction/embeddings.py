"""The embeddings of a network: the features that the layer of its output receives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.runs.prediction.trained_run import TrainedRun

BATCH = 512


def last_linear(trained: TrainedRun, inputs: Mapping[str, torch.Tensor]) -> nn.Module | None:
    """Return the layer that computes the output from features: the last Linear that a forward pass calls with values
    (N, …) for N rows. None if there is none."""
    import torch
    from torch import nn

    called: list[nn.Module] = []
    batch = [inputs[name][:2] for name in trained.fields]

    def record(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        if len(arguments[0]) == len(batch[0]):
            called.append(layer)

    linear = [module for module in trained.scorer.modules() if isinstance(module, nn.Linear)]
    hooks = [module.register_forward_pre_hook(record) for module in linear]
    try:
        with torch.no_grad():
            trained.scorer(*batch)
    finally:
        for hook in hooks:
            hook.remove()
    return called[-1] if called else None


def features(trained: TrainedRun, layer: nn.Module, inputs: Mapping[str, torch.Tensor]) -> np.ndarray:
    """Return the input (N, D) of a layer for rows given by field; means over the other axes, such as words.

    Of a layer that is called several times, as in a repeated network with shared weights, it is the last input.
    """
    import torch

    parts: list[torch.Tensor] = []
    received: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda module, arguments: received.append(arguments[0].detach()))
    try:
        with torch.no_grad():
            for start in range(0, len(next(iter(inputs.values()))), BATCH):
                received.clear()
                trained.scorer(*[inputs[name][start : start + BATCH] for name in trained.fields])
                values = received[-1]
                parts.append(values if values.dim() == 2 else values.flatten(1, -2).mean(1))
    finally:
        hook.remove()
    joined: np.ndarray = torch.cat(parts).double().numpy()
    return joined
