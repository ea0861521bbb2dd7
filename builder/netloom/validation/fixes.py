"""Edits that solve issues: insert a layer into an edge, set a parameter, remove something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count, islice

from netloom.document import Edge, Edit, Network
from netloom.layers import registry
from netloom.validation.issue import Fix

# Distance between nodes on the canvas, in pixels.
STEP = 110.0


def free_id(network: Network, layer_type: str, ordinal: int = 1) -> str:
    """Return the first unused id of the form conv2d_1, or the one at another place, counted from 1."""
    base = layer_type.lower()
    names = (f"{base}_{number}" for number in count(1))
    return next(islice((name for name in names if name not in {**network.nodes, **network.notes}), ordinal - 1, None))


def insert(name: str, network: Network, edge: Edge, layer_type: str, params: Mapping[str, object]) -> Fix:
    """Return a fix that inserts a layer with one input and one output into an edge; the nodes below it move down."""
    target = network.nodes[edge.target_node]
    node_id = free_id(network, layer_type)
    below = {key: [node.at[0], node.at[1] + STEP] for key, node in network.nodes.items() if node.at[1] >= target.at[1]}
    edits: list[Edit] = [
        {"kind": "add", "nodes": [{"id": node_id, "type": layer_type, "params": params, "at": list(target.at)}]},
        {"kind": "connect", "source": edge.source, "target": node_id},
        {"kind": "connect", "source": node_id, "target": edge.target},
        {"kind": "move", "at": below},
    ]
    return Fix(f"Insert {registry()[layer_type].title}", _batch(name, edits))


def set_params(name: str, node: str, params: Mapping[str, object], title: str) -> Fix:
    return Fix(title, {"kind": "set", "network": name, "node": node, "params": params})


def remove(name: str, nodes: list[str], edges: list[str], title: str) -> Fix:
    return Fix(title, {"kind": "remove", "network": name, "nodes": nodes, "edges": edges})


def append(name: str, network: Network, source: str, layer_type: str, params: Mapping[str, object]) -> Fix:
    """Return a fix that adds a layer after an output port that is not connected."""
    at = network.nodes[source.partition(".")[0]].at
    node_id = free_id(network, layer_type)
    edits: list[Edit] = [
        {"kind": "add", "nodes": [{"id": node_id, "type": layer_type, "params": params, "at": [at[0], at[1] + STEP]}]},
        {"kind": "connect", "source": source, "target": node_id},
    ]
    return Fix(f"Add {registry()[layer_type].title}", _batch(name, edits))


def _batch(name: str, edits: Sequence[Edit]) -> Edit:
    return {"kind": "batch", "edits": [{**edit, "network": name} for edit in edits]}
