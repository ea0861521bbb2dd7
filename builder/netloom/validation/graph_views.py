"""A network as a networkx graph, its cycles, and the execution order of its nodes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from netloom.core.text import natural
from netloom.document import Network

if TYPE_CHECKING:
    import networkx as nx


def digraph(network: Network) -> nx.DiGraph[str]:
    """Return the directed graph of the nodes and edges, without ports."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(network.nodes)
    graph.add_edges_from((edge.source_node, edge.target_node) for edge in network.edges)
    return graph


def cyclic(graph: nx.DiGraph[str]) -> set[str]:
    """Return the nodes that lie on a cycle."""
    import networkx as nx

    nodes = {node for part in nx.strongly_connected_components(graph) if len(part) > 1 for node in part}
    # A component of one node is a cycle only if the node has an edge to itself.
    return nodes | {node for node in graph if graph.has_edge(node, node)}


def execution_order(graph: nx.DiGraph[str]) -> list[str]:
    """Return the nodes in topological order, without nodes on a cycle or after one; the same for equal graphs."""
    return topological_order(graph.adj)


def topological_order(successors: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the nodes in topological order, given the different nodes after each one; see `execution_order`.

    Kahn's algorithm with a heap, as `nx.lexicographical_topological_sort`, which takes three times as long and refuses
    cycles; every edit of a document computes it.
    """
    missing = dict.fromkeys(successors, 0)
    for following in successors.values():
        for node in following:
            missing[node] += 1
    ready = [(natural(node), node) for node, count in missing.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        _, node = heapq.heappop(ready)
        order.append(node)
        for successor in successors[node]:
            missing[successor] -= 1
            if missing[successor] == 0:
                heapq.heappush(ready, (natural(successor), successor))
    return order


def reachable(starts: Iterable[str], neighbors: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the nodes on a path from any of the starts, without the starts that no path leads back to."""
    reached: set[str] = set()
    waiting = list(starts)
    while waiting:
        new = [node for node in neighbors[waiting.pop()] if node not in reached]
        reached.update(new)
        waiting += new
    return reached
