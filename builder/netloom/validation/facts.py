"""The facts about a node and the totals of a network: parameters, FLOPs and memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netloom.layers import TensorSpec
from netloom.validation.along_axis import example_shape

# A trained weight needs memory for itself, its gradient and the two moments of Adam, each a float32.
BYTES_PER_WEIGHT = 4
BYTES_PER_TRAINED_WEIGHT = 16
# Counts saturate at the largest number that PyTorch, a database and a float can all hold, because nested repetitions
# multiply.
MOST = 2**63 - 1


@dataclass(frozen=True)
class NodeFacts:
    """The measurements of a node.

    `outputs` are its tensors by port. `parameters` counts its parameters without shared ones, and `trainable` those of
    them that are trained. `flops` (of a forward pass) and `activation_bytes` (saved for the backward pass) are per
    example.
    """

    outputs: dict[str, TensorSpec]
    parameters: int
    trainable: int
    flops: int
    activation_bytes: int


@dataclass(frozen=True)
class Totals:
    """Sums over a network: FLOPs and activations per example, and the memory for training with the batch size.

    `layers` counts the layers with the repetitions of their networks in depth, and `calls` how often layers run one
    after the other, which also counts the steps of networks along an axis.
    """

    layers: int = 0
    calls: int = 0
    parameters: int = 0
    trainable: int = 0
    flops: int = 0
    activation_bytes: int = 0
    memory_bytes: int = 0


def bounded(count: int) -> int:
    """Return a count, limited to `MOST`."""
    return min(count, MOST)


def tensor_bytes(spec: TensorSpec) -> int:
    """Return the memory of a tensor per example."""
    return bounded((8 if spec.dtype == "int" else 4) * math.prod(example_shape(spec)))
