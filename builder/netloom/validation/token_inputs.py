"""The Input whose tokens a layer receives, also through layers that only move them."""

from __future__ import annotations

from netloom.document import Edge
from netloom.layers.io import Input
from netloom.layers.operations.identity import Identity
from netloom.layers.operations.indexing import IndexSelect, Select, Slice
from netloom.layers.operations.shape import Flatten, FlattenAxes, Permute, Reshape, Squeeze, Transpose, Unsqueeze
from netloom.layers.operations.tiling import Expand, Flip, Repeat, Roll
from netloom.validation.context import Context

# Layers with one input whose values are those of the input
_MOVING = (
    *(Identity, Flatten, FlattenAxes, Reshape, Permute, Transpose, Squeeze, Unsqueeze),
    *(Slice, Select, IndexSelect, Expand, Repeat, Flip, Roll),
)


def token_input(context: Context, edge: Edge | None) -> Input | None:
    """Return the Input from which the tokens at an edge come; None if a layer computes them."""
    visited: set[str] = set()
    while edge is not None and edge.source_node not in visited:
        visited.add(edge.source_node)  # a network with errors may have a cycle
        layer = context.layers.get(edge.source_node)
        if isinstance(layer, Input):
            return layer
        if not isinstance(layer, _MOVING):
            return None
        edge = context.incoming[edge.source_node].get("in")
    return None


__all__ = ["token_input"]
