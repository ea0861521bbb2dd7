"""What the steps of an attention map stand for: the tokens of the fields that lead to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.compile import input_nodes

if TYPE_CHECKING:
    from builder.explain.subject import Subject

# Ports of what is looked at; all others lead to what looks.
MEMORY = ("memory", "k", "v")


def steps(
    subject: Subject, key: str, looking: int, looked_at: int, *, within: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels of the rows and of the columns of a map (looking, looked_at) of the node `key`; `within` one sequence.

    A field counts where it leads to the node and has as many steps; numbers stand in where none or several do.
    """
    memory = _fields(subject, key, MEMORY)
    columns = [name for name in memory or _fields(subject, key) if _length(subject, name) == looked_at]
    rows = [name for name in _fields(subject, key) if _length(subject, name) == looking]
    if len(rows) > 1 and memory:
        rows = [name for name in rows if name not in memory]
    labels = _labels(subject, rows, looking)
    return labels, labels if within else _labels(subject, columns, looked_at)


def _fields(subject: Subject, key: str, ports: tuple[str, ...] = ()) -> list[str]:
    """The fields that lead to a node, or to some of its ports."""
    import networkx as nx

    from builder.check.views import digraph

    network = subject.project.main_network
    graph = digraph(network)
    edges = [edge for edge in network.edges if edge.target_node == key and (not ports or edge.target_port in ports)]
    sources = {edge.source_node for edge in edges}
    above = sources.union(*(nx.ancestors(graph, source) for source in sources))
    names = [str(network.nodes[node].params.get("field")) for node in input_nodes(subject.project) if node in above]
    return [name for name in dict.fromkeys(names) if name in subject.specs]


def _length(subject: Subject, name: str) -> int:
    spec = subject.specs[name]
    return spec.shape[0] if spec.kind in ("tokens", "sequence") else 0


def _labels(subject: Subject, fields: list[str], count: int) -> tuple[str, ...]:
    if len(fields) == 1:
        (name,) = fields
        known = next(one for one in subject.data.preprocess["fields"] if one["name"] == name).get("vocabulary")
        if known:
            return tuple(known[int(token)] for token in subject.inputs[name][0])
    return tuple(str(step + 1) for step in range(count))
