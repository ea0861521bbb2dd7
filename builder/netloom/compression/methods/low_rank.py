"""Low-rank factorization: a linear layer becomes two smaller ones, from its singular value decomposition.

Denton et al. 2014, https://arxiv.org/abs/1404.0736
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from netloom.compression.method import CompressionError, Method, Variant, as_onnx

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.runs import TrainedRun

# The share of the squared singular values that is kept
ENERGY = 0.9


class LowRank(Method):
    """Linear layers become pairs of smaller layers where that saves parameters."""

    name = "low_rank"
    title = "Low rank"
    summary = "Linear layers become pairs of smaller ones that keep 90% of the energy of their weights"
    order = 30

    def compress(self, trained: TrainedRun) -> Variant:
        model = copy.deepcopy(trained.model)
        before = sum(value.numel() for value in model.parameters())
        count = sum(factorize(model, layer) for layer in list(model.modules()))
        if not count:
            raise CompressionError("No linear layer of this network becomes smaller by factorization.")
        after = sum(value.numel() for value in model.parameters())
        content = as_onnx(trained, model).SerializeToString(deterministic=True)
        layers = f"{count} linear layer{'s' * (count > 1)}"
        return self.variant(content, f"Factorized {layers}: {after:,} instead of {before:,} parameters.")


def factorize(model: nn.Module, module: nn.Module) -> int:
    """Replace the linear layers directly within a module of a model by two smaller ones each, except those with tied
    weights. Returns how many were replaced."""
    import torch
    from torch import nn

    replaced = 0
    for name, layer in list(module.named_children()):
        if type(layer) is not nn.Linear or _is_tied(model, layer.weight):
            continue
        with torch.no_grad():
            left, values, right = torch.linalg.svd(layer.weight.double(), full_matrices=False)
            kept = values.square().cumsum(0) / values.square().sum()
            rank = int((kept < ENERGY).sum()) + 1
            outputs, inputs = layer.weight.shape
            if rank * (outputs + inputs) >= outputs * inputs:
                continue
            first = nn.Linear(inputs, rank, bias=False)
            second = nn.Linear(rank, outputs, bias=layer.bias is not None)
            root = values[:rank].sqrt()
            first.weight.copy_(root[:, None] * right[:rank])
            second.weight.copy_(left[:, :rank] * root)
            if layer.bias is not None:
                second.bias.copy_(layer.bias)
        setattr(module, name, nn.Sequential(first, second).eval())
        replaced += 1
    return replaced


def _is_tied(model: nn.Module, weight: torch.Tensor) -> bool:
    return sum(value is weight for _, value in model.named_parameters(remove_duplicate=False)) > 1
