"""The weights of layers that an initialization sets, and the residual branches that it scales."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netloom.layers.operations.merge import Add
from netloom.layers.subnetwork import Subnetwork
from netloom.validation.weight_matrices import InitialWeights

if TYPE_CHECKING:
    from netloom.validation.context import Context


def node_weights(context: Context, key: str) -> InitialWeights:
    """The weights of a node that an initialization sets, without those that it shares with another node."""
    layer, measured = context.layers.get(key), context.measured.get(key)
    if layer is None or isinstance(layer, Subnetwork) or measured is None or not measured.parameters:
        return InitialWeights()
    weights = measured.initial
    source = context.measured.get(context.network.nodes[key].shares or "")
    if source is None:
        return weights
    shared = set(measured.weights) & set(source.weights)
    return weights.without({str(name) for name, _ in shared})


def residual_ends(context: Context) -> dict[str, tuple[str, ...]]:
    """The last weights of each residual branch of a network, by node; those inside blocks are included."""
    ends: dict[str, tuple[str, ...]] = {}
    for key in context.order:
        layer = context.layers.get(key)
        initialization = context.network.nodes[key].initialization
        if layer is not None and layer.residual_weights:
            ends[key] = layer.residual_weights
        elif initialization is not None and initialization.residual:
            # Somebody who sets it on a layer means this layer, also where the graph does not show the branch.
            ends[key] = tuple(matrix.name for matrix in node_weights(context, key).matrices)
    for key in _branch_ends(context):
        ends.setdefault(key, tuple(matrix.name for matrix in node_weights(context, key).matrices))
    return ends


def count_branches(context: Context) -> int:
    """The number of residual branches in a network and the networks that it uses, with their repetitions."""
    count = sum(len(names) for names in residual_ends(context).values())
    for key, inner in context.inner.items():
        layer = context.layers[key]
        repeat = layer.repeat if isinstance(layer, Subnetwork) else 1
        count += repeat * count_branches(inner)
    return count


def _branch_ends(context: Context) -> Iterator[str]:
    """Yield the last node with weights on each path that an Add adds to the tensor where the path begins."""
    import networkx as nx

    for key in context.of_type(Add):
        if key in context.cycle_nodes:
            continue
        sources = [edge.source_node for edge in context.incoming[key].values()]
        for source in sources:
            before = nx.ancestors(context.graph, source)
            begins = {node for node in sources if node != source and node in before}
            end = _last_weights(context, source) if begins else None
            if end is None or end in begins:
                continue
            before_end = nx.ancestors(context.graph, end)
            if begins & before_end:
                yield end


def _last_weights(context: Context, key: str) -> str | None:
    """The nearest node with weight matrices at or before a node, past layers without parameters; None if none is."""
    while True:
        measured = context.measured.get(key)
        if node_weights(context, key).matrices:
            return key
        edges = list(context.incoming[key].values())
        if measured is None or measured.parameters or len(edges) != 1:
            return None
        key = edges[0].source_node
