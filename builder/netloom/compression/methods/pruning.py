"""Unstructured magnitude pruning: the smallest weights become zero.

The network has as many operations as before, so this saves space in a compressed file only.
"""

from __future__ import annotations

import copy
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from netloom.compression.method import CompressionError, Method, Variant, as_onnx

if TYPE_CHECKING:
    from torch import nn

    from netloom.runs import TrainedRun

SPARSITY = 0.7


class MagnitudePruning(Method):
    """The smallest 70% of the weights of each matrix become zero."""

    name = "pruning"
    title = "Magnitude pruning"
    summary = "The smallest 70% of the weights become zero: smaller when compressed, and not faster"
    order = 40

    def compress(self, trained: TrainedRun) -> Variant:
        model, zeros, total = _pruned(trained.model)
        if not total:
            raise CompressionError("This network has no weight matrices to prune.")
        content = as_onnx(trained, model).SerializeToString(deterministic=True)
        note = f"{zeros / total:.0%} of the weights are zero; the size is that of the compressed file."
        return replace(self.variant(content, note, len(zlib.compress(content, 9))), saves_size_only=True)

    def in_pytorch(self, trained: TrainedRun, content: bytes) -> TrainedRun | None:
        return replace(trained, model=_pruned(trained.model)[0])


def _with_plain_weights(model: nn.Module) -> nn.Module:
    """Replace weights that are computed from others, as weight normalization does, by their values.

    Otherwise, a direction of zeros would have no norm to divide by.
    """
    from torch.nn.utils import parametrize

    for module in model.modules():
        if isinstance(module, parametrize.ParametrizationList) or not parametrize.is_parametrized(module):
            continue
        # A copy shares the class that PyTorch made for the original, from which the removal deletes the property.
        shared = type(module)
        own = {key: value for key, value in vars(shared).items() if key not in ("__dict__", "__weakref__")}
        module.__class__ = type(shared.__name__, shared.__bases__, own)
        for name in list(module.parametrizations):  # type: ignore[arg-type]
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return model


def _pruned(model: nn.Module) -> tuple[nn.Module, int, int]:
    """Return a copy of a network without its smallest weights, the number of zeros in its matrices, and their size."""
    import torch

    model = _with_plain_weights(copy.deepcopy(model))
    zeros = total = 0
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() < 2:  # biases and scales are few, and matter much
                continue
            count = int(weight.numel() * SPARSITY)
            if not count:
                continue
            limit = weight.abs().flatten().kthvalue(count).values
            weight.mul_(weight.abs() > limit)
            zeros, total = zeros + int((weight == 0).sum()), total + weight.numel()
    return model, zeros, total
