"""Updates of the edges at subnetwork nodes when the ports of the network are renamed."""

from __future__ import annotations

from netloom.document.project import SUBNETWORK, Edge, EndKind, Network, Project


def rewired(project: Project, name: str, before: Network) -> Project:
    """The project with the edges at all nodes of the network `name` updated to its current ports.

    The first Input is the port `in` and the first Output `out`, so that reordering or removing one renames the ports of
    others. The edges follow their Input or Output. An edge of a removed one stays unless another one now has its port.
    """
    after = project.networks[name]
    inputs, outputs = _moves(before, after, "Input"), _moves(before, after, "Output")
    if not inputs and not outputs:
        return project
    for key, network in project.networks.items():
        if name not in project.uses(key):
            continue
        standing = {
            node.id for node in network.nodes.values() if node.type == SUBNETWORK and node.params["network"] == name
        }
        edges = tuple(edge for old in network.edges if (edge := _moved(old, standing, inputs, outputs)) is not None)
        project = project.with_network(key, network.model_copy(update={"edges": edges}))
    return project


def _moves(before: Network, after: Network, kind: EndKind) -> dict[str, str]:
    """The new name of each renamed port; empty for a removed port whose name another one has taken."""
    old, new = before.ports(kind), after.ports(kind)
    same_ends = {port: new[key] for key, port in old.items() if key in new}
    gone = {port: "" for key, port in old.items() if key not in new and port in same_ends.values()}
    return {port: new_port for port, new_port in {**same_ends, **gone}.items() if port != new_port}


def _moved(edge: Edge, standing: set[str], inputs: dict[str, str], outputs: dict[str, str]) -> Edge | None:
    source, target = edge.source, edge.target
    if edge.source_node in standing and edge.source_port in outputs:
        source = _at(edge.source_node, outputs[edge.source_port])
    if edge.target_node in standing and edge.target_port in inputs:
        target = _at(edge.target_node, inputs[edge.target_port])
    return Edge(source=source, target=target) if source and target else None


def _at(node: str, port: str) -> str:
    return f"{node}.{port}" if port else ""
