"""The axis of the channels in the output of a node, which cannot be inferred from the shape of a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.document import SUBNETWORK

if TYPE_CHECKING:
    from netloom.document import Node, Project
    from netloom.explain.core.network.nodes import InnerNode

Place = tuple[str, str]  # a network and the id of one of its nodes


def channel_axis(project: Project, node: InnerNode) -> int:
    """Return the axis of the channels in the output (N, …) of a node: 1 after a convolution, and 2 in a sequence of
    steps."""
    *around, _ = (part for part in node.path.split(".") if not part.isdigit())
    places: list[Place] = []
    network = project.main
    for key in around:
        places.append((network, key))
        network = str(project.networks[network].nodes[key].params.get("network", ""))
    return _axis_of(project, (node.network, node.key), places)


def _axis_of(project: Project, place: Place, around: list[Place]) -> int:
    """Follow the first input of each node back to the first layer, and then the axis forward. `around` are the nodes
    of the subnetworks that contain the place."""
    passed: list[tuple[Node, str]] = []
    at: Place | None = place
    while at is not None:
        name, key = at
        node = project.networks[name].nodes[key]
        if node.type == SUBNETWORK:
            inner = str(node.params.get("network", ""))
            around = [*around, at]
            at = next((inner, key) for key, end in project.networks[inner].nodes.items() if end.type == "Output")
            continue
        if node.type == "Input" and around:
            *around, (name, key) = around
        else:
            passed.append((node, name))
        sources = [edge.source_node for edge in project.networks[name].edges if edge.target_node == key]
        at = (name, sources[0]) if sources else None
    axis = 2
    for node, name in reversed(passed):
        axis = _after(project, node, name, axis)
    return axis


def _after(project: Project, node: Node, network: str, axis: int) -> int:
    from netloom.layers import parse, registry

    if node.type not in registry() or node.type == "Output":
        return axis
    return parse(node, project.networks[network].parameters).channel_axis(axis)
