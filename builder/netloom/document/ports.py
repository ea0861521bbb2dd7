"""Updates of subnetwork nodes and their edges when the ports of the network are renamed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netloom.document.field_types import MAX_PORT_LENGTH, Params
from netloom.document.network import SUBNETWORK, Edge, EndKind, Network
from netloom.document.project import Project


def final_ports(states: Iterable[str], outputs: Iterable[str]) -> dict[str, str]:
    """The output port of a node for the value of each of its states after the last step.

    `outputs` are the ports of its other results.
    """
    taken, ports = set(outputs), dict[str, str]()
    for state in states:
        ends = ("", *(f"_{number}" for number in range(2, len(taken) + 3)))
        names = (f"final_{state}"[: MAX_PORT_LENGTH - len(end)] + end for end in ends)
        ports[state] = next(name for name in names if name not in taken)
        taken.add(ports[state])
    return ports


def rewired(project: Project, name: str, before: Network) -> Project:
    """The project with the edges at all nodes of the network `name` updated to its current ports.

    The first Input is the port `in` and the first Output `out`, so that reordering or removing one renames the ports of
    others. The edges and states follow their Input or Output. An edge of a removed one stays unless another one now has
    its port.
    """
    after = project.networks[name]
    inputs, outputs = _moves(before, after, "Input"), _moves(before, after, "Output")
    if not inputs and not outputs:
        return project
    for key, network in project.networks.items():
        if name not in project.uses(key):
            continue
        standing = {
            node.id for node in network.nodes.values() if node.type == SUBNETWORK and node.params.get("network") == name
        }
        sources = {at: {**outputs, **_final_moves(network.nodes[at].params, before, after, inputs)} for at in standing}
        edges = tuple(edge for old in network.edges if (edge := _moved(old, inputs, sources)) is not None)
        nodes = {
            at: node.model_copy(update={"params": _renamed(node.params, inputs, outputs)}) if at in standing else node
            for at, node in network.nodes.items()
        }
        project = project.with_network(key, network.model_copy(update={"nodes": nodes, "edges": edges}))
    return project


def _renamed(params: Params, inputs: dict[str, str], outputs: dict[str, str]) -> Params:
    """The parameters of a subnetwork node with the new names of its ports; those of removed ports drop out."""
    changed = dict(params)
    states, initial, constant = (params.get(key) for key in ("states", "initial", "constant"))
    if isinstance(states, dict):
        pairs = [(inputs.get(key, key), outputs.get(str(port), str(port))) for key, port in states.items()]
        changed["states"] = {state: port for state, port in pairs if state and port}
    if isinstance(initial, dict):
        changed["initial"] = {port: value for key, value in initial.items() if (port := inputs.get(key, key))}
    if isinstance(constant, list):
        changed["constant"] = [name for key in constant if (name := inputs.get(str(key), str(key)))]
    return changed


def _final_moves(params: Params, before: Network, after: Network, inputs: Mapping[str, str]) -> dict[str, str]:
    """The new name of each renamed port of a final state; empty for one whose state was removed."""
    states = params.get("states")
    if not isinstance(states, dict):
        return {}
    old_ports = final_ports((port for port in before.ports("Input").values() if port in states),
                            before.ports("Output").values())  # fmt: skip
    names = {state: inputs.get(state, state) for state in old_ports}
    new_ports = final_ports((port for port in after.ports("Input").values() if port in names.values()),
                            after.ports("Output").values())  # fmt: skip
    return {port: new_ports.get(names[state], "") for state, port in old_ports.items()}


def _moves(before: Network, after: Network, kind: EndKind) -> dict[str, str]:
    """The new name of each renamed port; empty for a removed port whose name another one has taken."""
    old, new = before.ports(kind), after.ports(kind)
    same_ends = {port: new[key] for key, port in old.items() if key in new}
    gone = {port: "" for key, port in old.items() if key not in new and port in same_ends.values()}
    return {port: new_port for port, new_port in {**same_ends, **gone}.items() if port != new_port}


def _moved(edge: Edge, inputs: Mapping[str, str], outputs: Mapping[str, Mapping[str, str]]) -> Edge | None:
    """The edge with the new names of its ports; `outputs` has those of each node."""
    source, target = edge.source, edge.target
    if edge.source_port in outputs.get(edge.source_node, {}):
        source = _at(edge.source_node, outputs[edge.source_node][edge.source_port])
    if edge.target_node in outputs and edge.target_port in inputs:
        target = _at(edge.target_node, inputs[edge.target_port])
    return Edge(source=source, target=target) if source and target else None


def _at(node: str, port: str) -> str:
    return f"{node}.{port}" if port else ""
