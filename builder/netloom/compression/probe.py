"""Finds out which channels a layer without weights passes on, by sending NaN through it.

Whatever depends on a NaN is NaN. Each channel has a binary number; in one example of a batch, the channels with a
certain bit are NaN, in another one those without it. So 2·log₂(C) examples name the channel that each output depends
on, or show that it depends on several.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.layers.layer import TensorSpec

# Numbers of one input of the probe; larger tensors would need too much memory
MAX_NUMBERS = 2**27


class Passed(NamedTuple):
    """The axis of an output along which the channels of an input are, and the channel of each index; −1 for none."""

    axis: int
    channels: np.ndarray


def passed_channels(
    module: nn.Module, specs: Mapping[str, TensorSpec], port: str, axis: int
) -> list[Passed | None] | None:
    """Return how the outputs of a layer depend on the channels along an axis of the input at a port.

    None for an output that does not depend on them. None for the layer if an output mixes them, or this cannot be found
    out.
    """
    import torch

    count = specs[port].size(axis)
    bits = max((count - 1).bit_length(), 1)
    if 2 * bits * int(np.prod([length or 1 for length in specs[port].shape])) > MAX_NUMBERS:
        return None
    with torch.no_grad():
        try:
            outputs = module(*[_input(spec, name == port, axis, bits) for name, spec in specs.items()])
        except (RuntimeError, ValueError, IndexError):  # a layer that cannot compute with NaN
            return None
    passed: list[Passed | None] = []
    for output in outputs if isinstance(outputs, tuple) else (outputs,):
        if len(output) != 2 * bits:
            return None
        hit = output.isnan().numpy().reshape(2, bits, *output.shape[1:])
        if not hit.any():
            passed.append(None)
            continue
        channels = _decoded(hit)
        if channels is None:
            return None
        passed.append(channels)
    return passed


def _input(spec: TensorSpec, is_probed: bool, axis: int, bits: int) -> torch.Tensor:
    """Return a batch (2·bits, …) of equal examples, with NaN in the channels of the probed input."""
    import torch

    shape = [length or 1 for length in spec.shape[1:]]
    if spec.dtype == "int":
        return torch.zeros(2 * bits, *shape, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(1, *shape, generator=generator).repeat(2 * bits, *[1] * len(shape))
    if is_probed:
        numbers = torch.arange(spec.size(axis))
        has_bit = torch.stack([(numbers >> bit) & 1 for bit in range(bits)]).bool()  # (bits, C)
        pattern = torch.cat([has_bit, ~has_bit])  # (2·bits, C)
        view = [2 * bits, *(spec.size(axis) if dimension == axis else 1 for dimension in range(1, len(spec.shape)))]
        values = values.masked_fill(pattern.view(view), float("nan"))
    return values


def _decoded(hit: np.ndarray) -> Passed | None:
    """Return the channels from what was NaN, (2, bits, …): with the bit, and without it."""
    with_bit, without = hit
    if (with_bit & without).any():
        return None  # depends on several channels
    depends = with_bit.any(0) | without.any(0)
    if not ((with_bit | without).all(0) == depends).all():
        return None
    numbers = (with_bit * (1 << np.arange(len(with_bit))).reshape(-1, *[1] * depends.ndim)).sum(0)
    channels = np.where(depends, numbers, -1)  # (…)
    for axis in range(channels.ndim):
        rows = np.moveaxis(channels, axis, 0).reshape(channels.shape[axis], -1)
        largest = rows.max(1)
        if ((rows == largest[:, None]) | (rows < 0)).all():
            return Passed(axis + 1, largest)
    return None
