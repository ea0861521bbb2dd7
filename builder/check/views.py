"""A network as a networkx graph, and its nodes in the order in which they are carried out."""

from __future__ import annotations

import re

import networkx as nx

from builder.graph import Network


def digraph(network: Network) -> nx.DiGraph[str]:
    """The nodes and which feeds which."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(network.nodes)
    graph.add_edges_from((edge.source_node, edge.target_node) for edge in network.edges)
    return graph


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """A sort key under which linear_2 comes before linear_10."""
    return tuple((text, int(number or 0)) for text, number in re.findall(r"(\D+)(\d*)", name))


def execution_order(graph: nx.DiGraph[str]) -> list[str]:
    """Every node after those that feed it, the same for equal graphs, without nodes on a cycle or behind one."""
    cyclic = {node for part in nx.strongly_connected_components(graph) if len(part) > 1 for node in part}
    cyclic |= {node for node in graph if graph.has_edge(node, node)}
    behind = set(cyclic)
    for node in cyclic:
        behind |= nx.descendants(graph, node)
    free = graph.subgraph([node for node in graph if node not in behind])
    return list(nx.lexicographical_topological_sort(free, key=natural))
