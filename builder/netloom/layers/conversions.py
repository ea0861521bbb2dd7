"""The layers that convert a tensor of numbers to a kind of tensor, one function per kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import isqrt, prod
from typing import Any

from netloom.layers.layer import TensorSpec

# The type of a layer and its parameters
Conversion = tuple[str, dict[str, Any]]


def conversion(spec: TensorSpec, kinds: Collection[str]) -> Conversion | None:
    """Return the layer that converts a tensor to the first possible one of these kinds; None if there is none."""
    kind = next((kind for kind in CONVERSIONS if kind in kinds), None)
    return None if kind is None else CONVERSIONS[kind](spec)


def to_tokens(spec: TensorSpec) -> Conversion | None:
    """Return None, because numbers are not indices of a vocabulary."""
    return None


def to_vector(spec: TensorSpec) -> Conversion | None:
    """Return the layer that makes a tensor a vector (N, D)."""
    return "Flatten", {}


def to_sequence(spec: TensorSpec) -> Conversion | None:
    """Return the layer that makes the first axis the steps of a sequence (N, T, D)."""
    first, *other_sizes = _example_shape(spec)
    return "Reshape", {"shape": [first, prod(other_sizes)]}


def to_image(spec: TensorSpec) -> Conversion | None:
    """Return the layer that adds a channel: a vector becomes a square (N, 1, H, W), if its length allows that."""
    shape = _example_shape(spec)
    side = isqrt(shape[0])
    square = [1, side, side] if spec.is_vector and side * side == shape[0] else [1, *shape]
    return ("Reshape", {"shape": square}) if len(square) == 3 else None


def _example_shape(spec: TensorSpec) -> list[int]:
    return [length or 1 for length in spec.shape[1:]]


# In the order of preference, for ports that accept several kinds
CONVERSIONS: Mapping[str, Callable[[TensorSpec], Conversion | None]] = {
    "tokens": to_tokens,
    "vector": to_vector,
    "sequence": to_sequence,
    "image": to_image,
}
