"""Edits that mend: insert a layer in an edge, set a parameter, take something away."""

from __future__ import annotations

from itertools import count
from typing import Any

from builder.check.issue import Fix
from builder.graph import Edge, Network
from builder.layers import registry

# How far apart the canvas places nodes, in its pixels.
STEP = 110.0


def free_id(network: Network, layer_type: str, taken: frozenset[str] = frozenset()) -> str:
    """The first id of the form conv2d_1 that is not in use."""
    base = layer_type.lower()
    return next(name for number in count(1) if (name := f"{base}_{number}") not in network.nodes and name not in taken)


def insert(name: str, network: Network, edge: Edge, layer_type: str, params: dict[str, Any]) -> Fix:
    """Put a layer of one input and one output in the middle of an edge."""
    source, target = network.nodes[edge.source_node], network.nodes[edge.target_node]
    node_id = free_id(network, layer_type)
    at = [(source.at[0] + target.at[0]) / 2, (source.at[1] + target.at[1]) / 2]
    edits: list[dict[str, Any]] = [
        {"kind": "add", "nodes": [{"id": node_id, "type": layer_type, "params": params, "at": at}]},
        {"kind": "connect", "source": edge.source, "target": node_id},
        {"kind": "connect", "source": node_id, "target": edge.target},
    ]
    return Fix(f"Insert {registry()[layer_type].title}", _batch(name, edits))


def set_params(name: str, node: str, params: dict[str, Any], title: str) -> Fix:
    return Fix(title, {"kind": "set", "network": name, "node": node, "params": params})


def remove(name: str, nodes: list[str], edges: list[str], title: str) -> Fix:
    return Fix(title, {"kind": "remove", "network": name, "nodes": nodes, "edges": edges})


def append(name: str, network: Network, source: str, layer_type: str, params: dict[str, Any]) -> Fix:
    """Put a layer behind a port that nothing reads yet."""
    at = network.nodes[source.partition(".")[0]].at
    node_id = free_id(network, layer_type)
    edits: list[dict[str, Any]] = [
        {"kind": "add", "nodes": [{"id": node_id, "type": layer_type, "params": params, "at": [at[0], at[1] + STEP]}]},
        {"kind": "connect", "source": source, "target": node_id},
    ]
    return Fix(f"Add {registry()[layer_type].title}", _batch(name, edits))


def _batch(name: str, edits: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": "batch", "edits": [{**edit, "network": name} for edit in edits]}
