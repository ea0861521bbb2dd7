"""Edits that group a selection into a subnetwork, and that replace a subnetwork node by its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netloom.core.text import natural
from netloom.document.composition import CompositionError, free_name, known_network, new_network_name, require_capacity
from netloom.document.expression import SIZE
from netloom.document.initialization import Initialization
from netloom.document.network import MAX_NODES, SUBNETWORK, Edge, Network, Node
from netloom.document.parameter_edits import Numbers, is_number, names_read, substituted
from netloom.document.project import Project

# Vertical distance in pixels between copies of a repeated network, and from Inputs and Outputs to their layers.
STEP = 110.0
# Horizontal distance in pixels between Inputs, and between Outputs.
ASIDE = 180.0

References = Mapping[str, list[str]]


def group(project: Project, edit: Mapping[str, Any]) -> Project:
    """Move some nodes into a new network and replace them by one node. Inputs and Outputs are not moved.

    `inputs` may hold the parameters of the new Inputs, by the reference of the port that feeds them. `numbers` is as in
    `rename_parameter`; without it, any text that is a valid expression counts as one.

    Raises:
        CompositionError: The selection is empty or cannot be a network, or the name is invalid or taken.
    """
    name = known_network(project, edit.get("network", project.main))
    outer, new = project.networks[name], new_network_name(project, edit["name"])
    require_capacity(project)
    chosen = {key for key in edit["nodes"] if key in outer.nodes and outer.nodes[key].type not in ("Input", "Output")}
    if not chosen:
        raise CompositionError("Select at least one layer other than Inputs and Outputs to create a subnetwork.")
    _require_closed(outer, chosen)
    # One Input for each tensor from outside, even if several nodes read it
    coming = _references(edge for edge in outer.edges if edge.target_node in chosen and edge.source_node not in chosen)
    going = _references(edge for edge in outer.edges if edge.source_node in chosen and edge.target_node not in chosen)
    numbers = edit.get("numbers")
    # Parameters that the nodes read become parameters of the new network, with the same names.
    read = {parameter for key in chosen for parameter in names_read(outer.nodes[key], numbers)} & set(outer.parameters)
    parameters = {parameter: outer.parameters[parameter] for parameter in sorted(read)}
    inner, input_of_source, output_of_source = _subnetwork(outer, chosen, coming, going, edit.get("inputs", {}))
    # A network without a setting has that of the main network, which would replace the one of another network.
    initialization = outer.initialization if name != project.main else None
    inner = inner.model_copy(update={"parameters": parameters, "initialization": initialization})
    node = _subnetwork_node(outer, chosen, new, parameters)
    inputs, outputs = inner.ports("Input"), inner.ports("Output")
    around = [edge for edge in outer.edges if not chosen & {edge.source_node, edge.target_node}]
    around += [Edge(source=source, target=f"{node.id}.{inputs[key]}") for source, key in input_of_source.items()]
    around += [
        Edge(source=f"{node.id}.{outputs[output_of_source[source]]}", target=target)
        for source, targets in going.items()
        for target in targets
    ]
    remaining = {key: other_node for key, other_node in outer.nodes.items() if key not in chosen}
    changed = outer.model_copy(update={"nodes": {**remaining, node.id: node}, "edges": tuple(around)})
    return project.model_copy(update={"networks": {**project.networks, name: changed, new: inner}})


def _subnetwork(
    outer: Network, chosen: set[str], coming: References, going: References, input_params: Mapping[str, Any]
) -> tuple[Network, dict[str, str], dict[str, str]]:
    """The network of some nodes, the id of the Input for each outer source, and of the Output for each inner source."""
    nodes = {key: outer.nodes[key] for key in sorted(chosen, key=natural)}
    edges = [edge for edge in outer.edges if {edge.source_node, edge.target_node} <= chosen]
    heights = [node.at[1] for node in nodes.values()]
    middle = sum(node.at[0] for node in nodes.values()) / len(nodes)
    input_of_source: dict[str, str] = {}
    output_of_source: dict[str, str] = {}

    def end(kind: str, params: Any, index: int, height: float) -> str:
        key = free_name(nodes, kind.lower())
        at = (middle + ASIDE * index, height)
        nodes[key] = Node.model_validate({"id": key, "type": kind, "params": params, "at": at})
        return key

    for index, (source, targets) in enumerate(coming.items()):
        input_of_source[source] = end("Input", input_params.get(source, {}), index, min(heights) - STEP)
        edges += [Edge(source=input_of_source[source], target=target) for target in targets]
    for index, source in enumerate(going):
        name = {"name": free_name(nodes, "output")} if len(going) > 1 else {}
        output_of_source[source] = end("Output", name, index, max(heights) + STEP)
        edges.append(Edge(source=source, target=output_of_source[source]))
    return Network(nodes=nodes, edges=tuple(edges)), input_of_source, output_of_source


def _subnetwork_node(outer: Network, chosen: set[str], name: str, parameters: Mapping[str, Any]) -> Node:
    """The node that uses the new network, at the mean position of the nodes that it replaces."""
    positions = [outer.nodes[key].at for key in sorted(chosen, key=natural)]
    at = tuple(sum(position[axis] for position in positions) / len(positions) for axis in (0, 1))
    params: dict[str, Any] = {"network": name}
    if parameters:
        params["values"] = {parameter: parameter for parameter in parameters}
    # Nodes and notes share one set of ids.
    key = free_name({**outer.nodes, **outer.notes}, name)
    return Node.model_validate({"id": key, "type": SUBNETWORK, "params": params, "at": at})


def unpack(project: Project, edit: Mapping[str, Any]) -> Project:
    """Replace the node of a network by its layers, once for each repetition.

    `numbers` is as in `rename_parameter`; without it, any text that is a valid expression counts as one.

    Raises:
        CompositionError: The node is not a subnetwork, or its layers cannot be written without it.
    """
    name = known_network(project, edit.get("network", project.main))
    outer = project.networks[name]
    node = outer.nodes.get(edit["node"])
    if node is None or node.type != SUBNETWORK:
        raise CompositionError("Select a subnetwork; other layers cannot be ungrouped.")
    inner = project.networks[known_network(project, node.params.get("network"))]
    repeat = node.params.get("repeat", 1)
    if not isinstance(repeat, int) or repeat < 1:
        raise CompositionError(
            f"{node.id} is repeated {repeat!r} times; replace the expression with a number to ungroup it."
        )
    if repeat * len(inner.nodes) > MAX_NODES:
        raise CompositionError(
            f"{node.id} is {repeat} times {len(inner.nodes)} layers, but at most {MAX_NODES} are allowed."
        )
    if node.params.get("along") == "axis":
        raise CompositionError(f"{node.id} is applied once for each step along an axis, so it cannot be ungrouped.")
    if repeat > 1 and node.params.get("shared"):
        raise CompositionError(f"The repetitions of {node.id} share their weights, so it cannot be ungrouped.")
    if node.shares or any(other_node.shares == node.id for other_node in outer.nodes.values()):
        raise CompositionError(f"{node.id} shares its weights with another layer, so it cannot be ungrouped.")
    values = node.params.get("values", {})
    # Values of the node take precedence over the defaults of the network.
    values = {**inner.parameters, **(values if isinstance(values, dict) else {})}
    if sized := [key for key, value in values.items() if isinstance(value, str) and f"{SIZE}(" in value]:
        raise CompositionError(
            f"{node.id} uses the size of its input in {sized[0]}; replace it with a number to ungroup it."
        )
    sources = {edge.target_port: edge.source for edge in outer.edges if edge.target_node == node.id}
    nodes = {key: other_node for key, other_node in outer.nodes.items() if key != node.id}
    edges = [edge for edge in outer.edges if node.id not in (edge.source_node, edge.target_node)]
    for number in range(repeat):
        shift = (node.at[0], node.at[1] + number * (_height(inner) + STEP))
        initialization = project.initialization(known_network(project, node.params.get("network")))
        if initialization == project.initialization(name):
            initialization = None
        references = _insert_copy(
            inner, values, sources, nodes, edges, shift, node.frozen, edit.get("numbers"), initialization
        )
        # Each repetition reads the main output of the one before; other inputs stay the same for all.
        sources = {**sources, **({"in": references["out"]} if "out" in references else {})}
    for edge in outer.edges:
        if edge.source_node == node.id and edge.source_port in references:
            edges.append(Edge(source=references[edge.source_port], target=edge.target))
    changed = Network.model_validate(
        {
            **outer.model_dump(mode="json"),
            "nodes": {key: other_node.model_dump(mode="json") for key, other_node in nodes.items()},
            "edges": [edge.model_dump(mode="json") for edge in edges],
        }
    )
    return project.with_network(name, changed)


def _insert_copy(
    inner: Network,
    values: Mapping[str, Any],
    sources: Mapping[str, str],
    nodes: dict[str, Node],
    edges: list[Edge],
    shift: tuple[float, float],
    frozen: bool,
    numbers: Numbers = None,
    initialization: Initialization | None = None,
) -> dict[str, str]:
    """Add a copy of a network's layers to `nodes` and `edges`. Returns the reference of each of its outputs.

    `initialization` is that of the network, for layers without one of their own.
    """
    inputs, outputs = inner.ports("Input"), inner.ports("Output")
    names: dict[str, str] = {}
    for key in sorted(inner.nodes, key=natural):
        if key in inputs or key in outputs:
            continue
        # All names are reserved before any node is copied, because `shares` may refer to a node that comes later.
        names[key] = key if key not in nodes else free_name(nodes, key.rstrip("0123456789").rstrip("_") or key)
        nodes[names[key]] = inner.nodes[key]  # a placeholder that reserves the name
    for key, name in names.items():
        old = inner.nodes[key]
        update = {
            "id": name,
            "at": (old.at[0] + shift[0], old.at[1] + shift[1]),
            "params": {
                item: substituted(value, values) if is_number(old, item, numbers) else value
                for item, value in old.params.items()
            },
            "shares": names.get(old.shares) if old.shares else None,
            "frozen": old.frozen or frozen,
        }
        copied = Node.model_validate({**old.model_dump(mode="json"), **update})
        nodes[name] = copied.model_copy(update={"initialization": old.initialization or initialization})

    def source(reference: str) -> str | None:
        key, _, port = reference.partition(".")
        if key in inputs:
            return sources.get(inputs[key])
        return f"{names[key]}.{port}" if port else names[key]

    references: dict[str, str] = {}
    for edge in inner.edges:
        start = source(edge.source)
        if start is None:
            continue
        if edge.target_node in outputs:
            references[outputs[edge.target_node]] = start
        elif edge.target_node in names:
            edges.append(Edge(source=start, target=f"{names[edge.target_node]}.{edge.target_port}"))
    return references


def _references(edges: Any) -> dict[str, list[str]]:
    """The targets of each source, in natural order of their names."""
    targets_by_source: dict[str, list[str]] = {}
    for edge in sorted(edges, key=lambda edge: (natural(edge.source), natural(edge.target))):
        targets_by_source.setdefault(edge.source, []).append(edge.target)
    return targets_by_source


def _require_closed(network: Network, chosen: set[str]) -> None:
    """Refuse a selection that a path leaves and enters again, or that separates layers with shared weights.

    In the first case, the network would have a cycle through the new node.

    Raises:
        CompositionError: The selection is refused.
    """
    leads: dict[str, set[str]] = {key: set() for key in network.nodes}
    for edge in network.edges:
        leads[edge.source_node].add(edge.target_node)
    reached = {target for key in chosen for target in leads[key] if target not in chosen}
    waiting = list(reached)
    while waiting:
        for target in leads[waiting.pop()]:
            if target in chosen:
                raise CompositionError(
                    "A path leaves these layers and returns to them; select the layers on it as well."
                )
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    for key, node in network.nodes.items():
        if node.shares in network.nodes and (key in chosen) != (node.shares in chosen):
            raise CompositionError(f"{key} shares the weights of {node.shares}; select both layers or neither.")


def _height(network: Network) -> float:
    heights = [node.at[1] for node in network.nodes.values()]
    return max(heights) - min(heights) if heights else 0.0
