"""Models within a model that are built alike, as one network, and those that follow each other as one node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netloom.document import Edge, Network, Node, Project
from netloom.document.project import SUBNETWORK
from netloom.validation import analyse

if TYPE_CHECKING:
    import torch

Weights = Mapping[str, "torch.Tensor"]
# What an Input or Output is called says nothing about how a network is built.
_NAMES = {"Input": "field", "Output": "name"}


@dataclass
class Moves:
    """Where nodes went: by network and node, its id now, and which repetition of that it is."""

    nodes: dict[tuple[str, str], tuple[str, int | None]] = field(default_factory=dict)
    gone: set[tuple[str, str]] = field(default_factory=set)

    def name(self, networks: Mapping[str, Network], path: str) -> str:
        """What weights are called now; nothing where they are others' once more."""
        network, found, parts = "main", list[str](), path.split(".")
        for place, part in enumerate(parts):
            node = networks[network].nodes.get(part)
            if (network, part) in self.gone:
                return ""
            key, repetition = self.nodes.get((network, part), (part, None))
            found += [key] if repetition is None else [key, str(repetition)]
            if node is None or node.type != SUBNETWORK:
                return ".".join([*found, *parts[place + 1 :]])
            network = str(node.params["network"])
        return ".".join(found)


def merged(project: Project, weights: Weights) -> tuple[Project, dict[str, torch.Tensor]]:
    """The same networks with equal ones once, and with `repeat` where they follow each other."""
    moves = Moves()
    networks = _once(dict(project.networks), moves)
    chained = {name: _chained(name, network, moves) for name, network in networks.items()}
    found = project.model_copy(update={"networks": chained})
    if analyse(found).errors:
        moves = Moves()
        found = project.model_copy(update={"networks": _once(dict(project.networks), moves)})
    names = {path: moves.name(project.networks, path) for path in weights}
    return found, {new: weights[old] for old, new in names.items() if new}


def _once(networks: dict[str, Network], moves: Moves) -> dict[str, Network]:
    """Only the first of networks that are built alike; the innermost are compared first."""
    kept: dict[str, str] = {}
    while True:
        looks: dict[str, str] = {}
        pairs = [(name, looks.setdefault(_looks(network), name)) for name, network in networks.items()]
        same = {name: first for name, first in pairs if name != first and "main" not in (name, first)}
        if not same:
            return networks
        for name, first in same.items():
            ids = dict(zip(networks[name].nodes, networks[first].nodes, strict=True))
            before = {now: own for (network, own), (now, _) in moves.nodes.items() if network == name}
            moves.nodes |= {(name, before.get(old, old)): (new, None) for old, new in ids.items()}
        kept |= same
        networks = {
            name: network.model_copy(update={"nodes": {key: _calls(node, same) for key, node in network.nodes.items()}})
            for name, network in networks.items()
            if name not in same
        }


def _looks(network: Network) -> str:
    """What is equal for networks that differ in names alone."""
    place = {key: number for number, key in enumerate(network.nodes)}
    nodes = [
        (node.type, {name: value for name, value in node.params.items() if name != _NAMES.get(node.type)},
         place.get(node.shares or ""), node.frozen)
        for node in network.nodes.values()
    ]  # fmt: skip
    edges = sorted(
        (place[edge.source_node], edge.source_port, place[edge.target_node], edge.target_port) for edge in network.edges
    )
    return json.dumps([nodes, edges, network.parameters], sort_keys=True)


def _calls(node: Node, same: Mapping[str, str]) -> Node:
    """A node that stands for the network that is left."""
    name = str(node.params.get("network", ""))
    if node.type != SUBNETWORK or name not in same:
        return node
    return node.model_copy(update={"params": {**node.params, "network": same[name]}})


def _chained(name: str, network: Network, moves: Moves) -> Network:
    """A network in which each row of the same network, one fed by the other, is one node with `repeat`."""
    following = {key: _next(network, key) for key in network.nodes}
    inside = set(filter(None, following.values()))
    for start in [key for key in network.nodes if following[key] and key not in inside]:
        row, key = [start], following[start]
        while key:
            row.append(key)
            key = following[key]
        shares = {network.nodes[other].shares for other in row[1:]}
        tied = shares == {start}
        if (not tied and shares != {None}) or any(node.shares in row[1:] for node in network.nodes.values()):
            continue
        network = _row(network, row, tied)
        for number, key in enumerate(row):
            moves.nodes[name, key] = (start, number)
            if tied and number:
                moves.gone.add((name, key))
    return network


def _next(network: Network, key: str) -> str:
    """The node of the same network that alone reads this one, and reads nothing else; empty where there is none."""
    node = network.nodes[key]
    readers = [edge for edge in network.edges if edge.source_node == key]
    if node.type != SUBNETWORK or len(readers) != 1:
        return ""
    other = network.nodes[readers[0].target_node]
    reads = [edge for edge in network.edges if edge.target_node == other.id]
    alike = other.type == SUBNETWORK and other.params == node.params and len(reads) == 1 and other.frozen == node.frozen
    return other.id if alike else ""


def _row(network: Network, row: list[str], tied: bool) -> Network:
    """The first node of a row in the place of all."""
    start, gone = row[0], set(row[1:])
    params = {**network.nodes[start].params, "repeat": len(row)} | ({"shared": True} if tied else {})
    nodes = {key: node for key, node in network.nodes.items() if key not in gone}
    nodes[start] = nodes[start].model_copy(update={"params": params})
    edges = [
        Edge(source=_source(edge, row), target=edge.target) for edge in network.edges if edge.target_node not in gone
    ]
    return network.with_nodes(nodes, edges)


def _source(edge: Edge, row: list[str]) -> str:
    if edge.source_node != row[-1]:
        return edge.source
    return edge.source.replace(row[-1], row[0], 1)
