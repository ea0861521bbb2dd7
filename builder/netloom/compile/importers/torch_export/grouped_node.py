"""A node of a program before its modules become networks."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.compile.importers.layer_graph.values import Array
from netloom.compile.importers.torch_export.program import Module
from netloom.document import Node
from netloom.document.network import SUBNETWORK


@dataclass
class GroupedNode:
    """A node before grouping: its inputs by port, its weights, and the stack of modules to which it belongs."""

    node: Node
    label: str
    reads: dict[str, str]
    weights: dict[str, Array]
    stack: tuple[Module, ...]


def node_name(item: GroupedNode, label: str) -> str:
    """The name of a node; a label that is only a number is preceded by the kind of node."""
    if label and not label[0].isdigit():
        return label
    kind = item.node.params["network"] if item.node.type == SUBNETWORK else item.node.type
    return f"{kind}_{label}" if label else str(kind)


def source_node_of(ref: str) -> str:
    """The id of the node whose output a reference names."""
    return ref.partition(".")[0]
