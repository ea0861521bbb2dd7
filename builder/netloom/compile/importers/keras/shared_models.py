"""Deduplication of nested models: equal ones become one network, consecutive calls one repeated node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netloom.document import Edge, Network, Node, Project
from netloom.document.network import SUBNETWORK
from netloom.validation import analyze

if TYPE_CHECKING:
    import torch

Weights = Mapping[str, "torch.Tensor"]
# The names of Inputs and Outputs, which do not count when networks are compared
_NAMES = {"Input": "field", "Output": "name"}


@dataclass
class RenamedNodes:
    """The new place of each merged node.

    `merged` maps network and id to network and id after equal networks were merged. `repetitions` maps these to the id
    of the node that replaces a chain, with the number among its repetitions; `removed` are those without weights.
    """

    merged: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    repetitions: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    removed: set[tuple[str, str]] = field(default_factory=set)

    def merge(self, network: str, first: str, node_ids: Mapping[str, str]) -> None:
        """Record that a network became `first`, whose nodes have the ids `node_ids` by the ids of the network."""
        moved = {(network, node_id): (first, new) for node_id, new in node_ids.items()}
        # Nodes that an earlier round moved into this network move on with it.
        self.merged = {old: moved.get(new, new) for old, new in self.merged.items()} | moved

    def name(self, networks: Mapping[str, Network], path: str) -> str:
        """The new name of weights; "" if their node was merged into another one with the same weights."""
        network, names, parts = "main", list[str](), path.split(".")
        for position, part in enumerate(parts):
            node = networks[network].nodes.get(part)
            merged_node = self.merged.get((network, part), (network, part))
            if merged_node in self.removed:
                return ""
            if merged_node in self.repetitions:
                start, repetition = self.repetitions[merged_node]
                names += [start, str(repetition)]
            else:
                names.append(merged_node[1])
            if node is None or node.type != SUBNETWORK:
                return ".".join([*names, *parts[position + 1 :]])
            network = str(node.params["network"])
        return ".".join(names)


def merge_shared(project: Project, weights: Weights) -> tuple[Project, dict[str, torch.Tensor]]:
    """Merge equal networks, and replace chains of nodes that use one network by a single node with `repeat`.

    Returns the project and the weights under their new names.
    """
    renamed = RenamedNodes()
    networks = _deduplicate(dict(project.networks), renamed)
    chained = {name: _merge_chains(name, network, renamed) for name, network in networks.items()}
    merged_project = project.model_copy(update={"networks": chained})
    # `repeat` needs equal shapes of input and output, which the search for chains does not check.
    if analyze(merged_project).network_errors:
        renamed = RenamedNodes()
        merged_project = project.model_copy(update={"networks": _deduplicate(dict(project.networks), renamed)})
    new_names = {name: renamed.name(project.networks, name) for name in weights}
    return merged_project, {new_name: weights[name] for name, new_name in new_names.items() if new_name}


def _deduplicate(networks: dict[str, Network], renamed: RenamedNodes) -> dict[str, Network]:
    """Merge networks of equal structure into the first of them, from the innermost networks outward."""
    # Networks can become equal once the networks inside them are merged.
    while True:
        first_by_signature: dict[str, str] = {}
        pairs = [(name, first_by_signature.setdefault(_signature(network), name)) for name, network in networks.items()]
        duplicates = {name: first for name, first in pairs if name != first and "main" not in (name, first)}
        if not duplicates:
            return networks
        for name, first in duplicates.items():
            renamed.merge(name, first, dict(zip(networks[name].nodes, networks[first].nodes, strict=True)))
        networks = {
            name: network.model_copy(
                update={"nodes": {key: _redirect(node, duplicates) for key, node in network.nodes.items()}}
            )
            for name, network in networks.items()
            if name not in duplicates
        }


def _signature(network: Network) -> str:
    """A text that is equal for networks that differ only in names."""
    numbers = {key: number for number, key in enumerate(network.nodes)}
    nodes = [
        (node.type, {name: value for name, value in node.params.items() if name != _NAMES.get(node.type)},
         numbers.get(node.shares or ""), node.frozen)
        for node in network.nodes.values()
    ]  # fmt: skip
    edges = sorted(
        (numbers[edge.source_node], edge.source_port, numbers[edge.target_node], edge.target_port)
        for edge in network.edges
    )
    return json.dumps([nodes, edges, network.parameters], sort_keys=True)


def _redirect(node: Node, same: Mapping[str, str]) -> Node:
    """The node with the name of the remaining network, if its own network was merged."""
    name = str(node.params.get("network", ""))
    if node.type != SUBNETWORK or name not in same:
        return node
    return node.model_copy(update={"params": {**node.params, "network": same[name]}})


def _merge_chains(name: str, network: Network, renamed: RenamedNodes) -> Network:
    """The network with each chain of nodes that use the same network replaced by one node with `repeat`."""
    next_node = {key: _successor(network, key) for key in network.nodes}
    continued = set(filter(None, next_node.values()))
    for start in [key for key in network.nodes if next_node[key] and key not in continued]:
        chain, key = [start], next_node[start]
        while key:
            chain.append(key)
            key = next_node[key]
        # Either no node shares weights or all share those of the first: `repeat` expresses nothing in between.
        shares = {network.nodes[copy].shares for copy in chain[1:]}
        tied = shares == {start}
        if (not tied and shares != {None}) or any(node.shares in chain[1:] for node in network.nodes.values()):
            continue
        network = _collapse(network, chain, tied)
        for number, key in enumerate(chain):
            renamed.repetitions[name, key] = (start, number)
            if tied and number:
                renamed.removed.add((name, key))
    return network


def _successor(network: Network, key: str) -> str:
    """The node that uses the same network, is the only reader of this one, and reads nothing else; "" if none is."""
    node = network.nodes[key]
    readers = [edge for edge in network.edges if edge.source_node == key]
    if node.type != SUBNETWORK or len(readers) != 1:
        return ""
    successor = network.nodes[readers[0].target_node]
    reads = [edge for edge in network.edges if edge.target_node == successor.id]
    is_same = (
        successor.type == SUBNETWORK
        and successor.params == node.params
        and len(reads) == 1
        and successor.frozen == node.frozen
    )
    return successor.id if is_same else ""


def _collapse(network: Network, chain: list[str], tied: bool) -> Network:
    """The network with a chain replaced by its first node."""
    start, removed = chain[0], set(chain[1:])
    params = {**network.nodes[start].params, "repeat": len(chain)} | ({"shared": True} if tied else {})
    nodes = {key: node for key, node in network.nodes.items() if key not in removed}
    nodes[start] = nodes[start].model_copy(update={"params": params})
    edges = [
        Edge(source=_source(edge, chain), target=edge.target)
        for edge in network.edges
        if edge.target_node not in removed
    ]
    return network.with_nodes(nodes, edges)


def _source(edge: Edge, chain: list[str]) -> str:
    if edge.source_node != chain[-1]:
        return edge.source
    return edge.source.replace(chain[-1], chain[0], 1)
