"""Edits of which networks a project has: a new one, one made of a selection, one put back where it stands."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from netloom.core.text import natural
from netloom.document import network_bundle, ports
from netloom.document.expression import FUNCTIONS, SIZE, ExpressionError, names_in
from netloom.document.project import (
    MAX_NETWORKS,
    MAX_NODES,
    SUBNETWORK,
    Edge,
    Network,
    Node,
    Project,
    is_identifier,
    misnamed,
)

# How far below each other the copies of a repeated network are put, and Inputs and Outputs from what they serve.
STEP = 110.0
# How far beside each other Inputs and Outputs are put.
ASIDE = 180.0

# By type of layer, which of its parameters are numbers.
Numbers = Mapping[str, Sequence[str]] | None
References = Mapping[str, list[str]]


class CompositionError(ValueError):
    """The edit does not apply; the message is one sentence for people."""


def create(project: Project, edit: Mapping[str, Any]) -> Project:
    """An empty network, or the one that the edit holds."""
    name = _new_name(project, edit["name"])
    _room(project)
    network = Network.model_validate(edit.get("content", {})).ordered()
    return project.model_copy(update={"networks": {**project.networks, name: network}})


def replace(project: Project, edit: Mapping[str, Any]) -> Project:
    """Put another content in the place of a network's, under the same name."""
    name = _known(project, edit["name"])
    changed = project.with_network(name, Network.model_validate(edit["content"]).ordered())
    return ports.rewired(changed, name, project.networks[name])


def delete(project: Project, edit: Mapping[str, Any]) -> Project:
    """Take away a network that stands nowhere."""
    name = _known(project, edit["name"])
    users = [other for other in project.networks if name in project.uses(other)]
    if name == project.main:
        raise CompositionError("The main network cannot be removed, because it is the one that is trained.")
    if users:
        raise CompositionError(f"The network {name} is used in {', '.join(users)}; remove it there first.")
    remaining = {other: network for other, network in project.networks.items() if other != name}
    return project.model_copy(update={"networks": remaining})


def rename(project: Project, edit: Mapping[str, Any]) -> Project:
    """Give a network another name, also wherever it stands."""
    old, new = _known(project, edit["name"]), edit["to"]
    if old == new:
        return project
    new = _new_name(project, new)

    def moved(node: Node) -> Node:
        if node.type != SUBNETWORK or node.params.get("network") != old:
            return node
        return node.model_copy(update={"params": {**node.params, "network": new}})

    networks = {
        new if name == old else name: network.model_copy(
            update={"nodes": {key: moved(node) for key, node in network.nodes.items()}}
        )
        for name, network in project.networks.items()
    }
    return project.model_copy(update={"networks": networks, "main": new if project.main == old else project.main})


def expose(project: Project, edit: Mapping[str, Any]) -> Project:
    """Exchange the parameters that a network exposes, with their defaults."""
    name = _known(project, edit["network"])
    checked = Network.model_validate({"parameters": edit["values"]})
    return project.with_network(name, project.networks[name].model_copy(update={"parameters": checked.parameters}))


def rename_parameter(project: Project, edit: Mapping[str, Any]) -> Project:
    """Give a parameter of a network another name: in its expressions, and where it stands with another value.

    `numbers` says by type of layer which of its parameters are numbers: elsewhere the same word may be mere text.
    """
    name, old, new = _known(project, edit["network"]), edit["name"], edit["to"]
    network, numbers = project.networks[name], edit["numbers"]
    if old not in network.parameters:
        raise CompositionError(f"The network {name} has no parameter {str(old)[:60]!r}.")
    if old == new:
        return project
    if not isinstance(new, str) or not is_identifier(new) or new in FUNCTIONS or new == SIZE:
        rule = "A parameter needs a lowercase name that is not the name of a function, such as width."
        raise CompositionError(rule if new in FUNCTIONS or new == SIZE else misnamed(str(new), rule))
    if new in network.parameters:
        raise CompositionError(f"The network {name} already has a parameter {new}.")

    def reading(node: Node) -> Node:
        params = {key: _reading(value, old, new) for key, value in node.params.items() if key in numbers[node.type]}
        return node.model_copy(update={"params": {**node.params, **params}}) if params else node

    def using(node: Node) -> Node:
        values = node.params.get("values")
        if node.type != SUBNETWORK or node.params.get("network") != name or not isinstance(values, dict):
            return node
        values = {new if key == old else key: value for key, value in values.items()}
        return node.model_copy(update={"params": {**node.params, "values": values}})

    parameters = {new if key == old else key: value for key, value in network.parameters.items()}
    nodes = {key: reading(node) if node.type in numbers else node for key, node in network.nodes.items()}
    networks = {**project.networks, name: network.model_copy(update={"parameters": parameters, "nodes": nodes})}
    for key, other in networks.items():
        if name in project.uses(key):
            networks[key] = other.model_copy(update={"nodes": {at: using(node) for at, node in other.nodes.items()}})
    return project.model_copy(update={"networks": networks})


def _reading(value: Any, old: str, new: str) -> Any:
    """Expressions that read `new` where they read `old`, written as they were."""
    if isinstance(value, list):
        return [_reading(part, old, new) for part in value]
    if isinstance(value, dict):
        return {key: _reading(part, old, new) for key, part in value.items()}
    if not isinstance(value, str) or old not in _names_of(value):
        return value
    text = value.strip().encode()
    tree = ast.parse(text.decode(), mode="eval")
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    read = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called)
    places = [node.col_offset for node in read if node.id == old]
    for place in sorted(places, reverse=True):
        text = text[:place] + new.encode() + text[place + len(old) :]
    return text.decode()


def insert(project: Project, edit: Mapping[str, Any]) -> Project:
    """Put the networks of a bundle, which is a document, into the project; see `netloom.document.network_bundle`."""
    try:
        return network_bundle.insert(project, Project.model_validate(edit["bundle"]))[0]
    except network_bundle.BundleError as error:
        raise CompositionError(str(error)) from None


def group(project: Project, edit: Mapping[str, Any]) -> Project:
    """Make a network of some nodes, and put one node in their place. Inputs and Outputs stay where they are.

    `inputs` may give the parameters of the Inputs that are made, by the reference of what comes in. `numbers` is as in
    `rename_parameter`; without it, any text that reads as an expression is one.
    """
    name = _known(project, edit.get("network", project.main))
    outer, new = project.networks[name], _new_name(project, edit["name"])
    _room(project)
    chosen = {key for key in edit["nodes"] if key in outer.nodes and outer.nodes[key].type not in ("Input", "Output")}
    if not chosen:
        raise CompositionError("Select at least one layer other than Inputs and Outputs to create a subnetwork.")
    _stand_together(outer, chosen)
    coming = _references(edge for edge in outer.edges if edge.target_node in chosen and edge.source_node not in chosen)
    going = _references(edge for edge in outer.edges if edge.source_node in chosen and edge.target_node not in chosen)
    numbers = edit.get("numbers")
    read = {found for key in chosen for found in _names(outer.nodes[key], numbers)} & set(outer.parameters)
    parameters = {found: outer.parameters[found] for found in sorted(read)}
    inner, input_of_source, output_of_source = _inside(outer, chosen, coming, going, edit.get("inputs", {}))
    inner = inner.model_copy(update={"parameters": parameters})
    node = _standing(outer, chosen, new, parameters)
    inputs, outputs = inner.ports("Input"), inner.ports("Output")
    around = [edge for edge in outer.edges if not chosen & {edge.source_node, edge.target_node}]
    around += [Edge(source=source, target=f"{node.id}.{inputs[key]}") for source, key in input_of_source.items()]
    around += [
        Edge(source=f"{node.id}.{outputs[output_of_source[source]]}", target=target)
        for source, targets in going.items()
        for target in targets
    ]
    remaining = {key: other for key, other in outer.nodes.items() if key not in chosen}
    changed = outer.model_copy(update={"nodes": {**remaining, node.id: node}, "edges": tuple(around)})
    return project.model_copy(update={"networks": {**project.networks, name: changed, new: inner}})


def _inside(
    outer: Network, chosen: set[str], coming: References, going: References, input_params: Mapping[str, Any]
) -> tuple[Network, dict[str, str], dict[str, str]]:
    """The network of some nodes, and by what comes in and goes out the Input and Output that stands for it."""
    nodes = {key: outer.nodes[key] for key in sorted(chosen, key=natural)}
    edges = [edge for edge in outer.edges if {edge.source_node, edge.target_node} <= chosen]
    heights = [node.at[1] for node in nodes.values()]
    middle = sum(node.at[0] for node in nodes.values()) / len(nodes)
    input_of_source: dict[str, str] = {}
    output_of_source: dict[str, str] = {}

    def end(kind: str, params: Any, place: int, height: float) -> str:
        key = _free(nodes, kind.lower())
        at = (middle + ASIDE * place, height)
        nodes[key] = Node.model_validate({"id": key, "type": kind, "params": params, "at": at})
        return key

    for place, (source, targets) in enumerate(coming.items()):
        input_of_source[source] = end("Input", input_params.get(source, {}), place, min(heights) - STEP)
        edges += [Edge(source=input_of_source[source], target=target) for target in targets]
    for place, source in enumerate(going):
        name = {"name": _free(nodes, "output")} if len(going) > 1 else {}
        output_of_source[source] = end("Output", name, place, max(heights) + STEP)
        edges.append(Edge(source=source, target=output_of_source[source]))
    return Network(nodes=nodes, edges=tuple(edges)), input_of_source, output_of_source


def _standing(outer: Network, chosen: set[str], name: str, parameters: Mapping[str, Any]) -> Node:
    """The node that stands for the network of some nodes, in their middle."""
    places = [outer.nodes[key].at for key in sorted(chosen, key=natural)]
    at = tuple(sum(place[axis] for place in places) / len(places) for axis in (0, 1))
    params: dict[str, Any] = {"network": name}
    if parameters:
        params["values"] = {found: found for found in parameters}
    key = _free({**outer.nodes, **outer.notes}, name)
    return Node.model_validate({"id": key, "type": SUBNETWORK, "params": params, "at": at})


def unpack(project: Project, edit: Mapping[str, Any]) -> Project:
    """Put the layers of a network in the place of a node that stands for it, as often as it is repeated.

    `numbers` is as in `rename_parameter`; without it, any text that reads as an expression is one.
    """
    name = _known(project, edit.get("network", project.main))
    outer = project.networks[name]
    node = outer.nodes.get(edit["node"])
    if node is None or node.type != SUBNETWORK:
        raise CompositionError("Select a subnetwork; other layers cannot be ungrouped.")
    inner = project.networks[_known(project, node.params.get("network"))]
    repeat = node.params.get("repeat", 1)
    if not isinstance(repeat, int) or repeat < 1:
        raise CompositionError(
            f"{node.id} is repeated {repeat!r} times; replace the expression with a number to ungroup it."
        )
    if repeat * len(inner.nodes) > MAX_NODES:
        raise CompositionError(
            f"{node.id} is {repeat} times {len(inner.nodes)} layers, but at most {MAX_NODES} are allowed."
        )
    if repeat > 1 and node.params.get("shared"):
        raise CompositionError(f"The repetitions of {node.id} share their weights, so it cannot be ungrouped.")
    if node.shares or any(other.shares == node.id for other in outer.nodes.values()):
        raise CompositionError(f"{node.id} shares its weights with another layer, so it cannot be ungrouped.")
    values = node.params.get("values", {})
    values = {**inner.parameters, **(values if isinstance(values, dict) else {})}
    if sized := [key for key, value in values.items() if isinstance(value, str) and f"{SIZE}(" in value]:
        raise CompositionError(
            f"{node.id} uses the size of its input in {sized[0]}; replace it with a number to ungroup it."
        )
    sources = {edge.target_port: edge.source for edge in outer.edges if edge.target_node == node.id}
    nodes = {key: other for key, other in outer.nodes.items() if key != node.id}
    edges = [edge for edge in outer.edges if node.id not in (edge.source_node, edge.target_node)]
    for number in range(repeat):
        shift = (node.at[0], node.at[1] + number * (_height(inner) + STEP))
        references = _copy(inner, values, sources, nodes, edges, shift, node.frozen, edit.get("numbers"))
        sources = {**sources, **({"in": references["out"]} if "out" in references else {})}
    for edge in outer.edges:
        if edge.source_node == node.id and edge.source_port in references:
            edges.append(Edge(source=references[edge.source_port], target=edge.target))
    changed = Network.model_validate(
        {
            **outer.model_dump(mode="json"),
            "nodes": {key: other.model_dump(mode="json") for key, other in nodes.items()},
            "edges": [edge.model_dump(mode="json") for edge in edges],
        }
    )
    return project.with_network(name, changed)


def _copy(
    inner: Network,
    values: Mapping[str, Any],
    sources: Mapping[str, str],
    nodes: dict[str, Node],
    edges: list[Edge],
    shift: tuple[float, float],
    frozen: bool,
    numbers: Numbers = None,
) -> dict[str, str]:
    """Add a network's layers to `nodes` and `edges`; returns what each of its outputs is there."""
    inputs, outputs = inner.ports("Input"), inner.ports("Output")
    names: dict[str, str] = {}
    for key in sorted(inner.nodes, key=natural):
        if key in inputs or key in outputs:
            continue
        names[key] = key if key not in nodes else _free(nodes, key.rstrip("0123456789").rstrip("_") or key)
        nodes[names[key]] = inner.nodes[key]  # so that no other takes the name
    for key, name in names.items():
        old = inner.nodes[key]
        update = {
            "id": name,
            "at": (old.at[0] + shift[0], old.at[1] + shift[1]),
            "params": {
                item: _substituted(value, values) if _is_number(old, item, numbers) else value
                for item, value in old.params.items()
            },
            "shares": names.get(old.shares) if old.shares else None,
            "frozen": old.frozen or frozen,
        }
        nodes[name] = Node.model_validate({**old.model_dump(mode="json"), **update})

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


def _substituted(value: Any, values: Mapping[str, Any]) -> Any:
    """A parameter with the network's own parameters exchanged for what they are in this place."""
    if isinstance(value, list):
        return [_substituted(part, values) for part in value]
    if isinstance(value, dict):
        return {key: _substituted(part, values) for key, part in value.items()}
    if not isinstance(value, str) or not _names_of(value) & set(values):
        return value
    if value.strip() in values:
        return values[value.strip()]

    class Exchange(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return ast.parse(f"({values[node.id]})", mode="eval").body if node.id in values else node

    return ast.unparse(Exchange().visit(ast.parse(value.strip(), mode="eval")))


def _names(node: Node, numbers: Numbers) -> set[str]:
    read = (value for item, value in node.params.items() if _is_number(node, item, numbers))
    return {name for value in read for text in _texts(value) for name in _names_of(text)}


def _is_number(node: Node, item: str, numbers: Numbers) -> bool:
    """Whether a parameter is a number, for which an expression may stand."""
    return numbers is None or item in numbers.get(node.type, ())


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    return [text for part in parts for text in _texts(part)]


def _names_of(text: str) -> frozenset[str]:
    try:
        return names_in(text)
    except ExpressionError:
        return frozenset()


def _references(edges: Any) -> dict[str, list[str]]:
    """Where each source leads, in the order of names."""
    targets_by_source: dict[str, list[str]] = {}
    for edge in sorted(edges, key=lambda edge: (natural(edge.source), natural(edge.target))):
        targets_by_source.setdefault(edge.source, []).append(edge.target)
    return targets_by_source


def _stand_together(network: Network, chosen: set[str]) -> None:
    """Refuse a selection out of which a way leads and back in, or of which only a part shares its weights."""
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


def _known(project: Project, name: object) -> str:
    if not isinstance(name, str) or name not in project.networks:
        raise CompositionError(f"There is no network {str(name)[:60]!r} in this project.")
    return name


def _new_name(project: Project, name: object) -> str:
    if not isinstance(name, str) or not is_identifier(name):
        raise CompositionError(misnamed(str(name), network_bundle.NAMES))
    if name in project.networks:
        raise CompositionError(f"There is already a network {name}.")
    return name


def _room(project: Project) -> None:
    """Refuse one network more than a document holds: it could be saved, but never be read again."""
    if len(project.networks) >= MAX_NETWORKS:
        raise CompositionError(f"A project can have at most {MAX_NETWORKS} networks; delete an unused one.")


def _free(used: Mapping[str, object], base: str) -> str:
    return next(name for number in count(1) if (name := f"{base[:56]}_{number}") not in used)


COMPOSITIONS: dict[str, Callable[[Project, Mapping[str, Any]], Project]] = {
    "create_network": create,
    "replace_network": replace,
    "delete_network": delete,
    "rename_network": rename,
    "parameters": expose,
    "rename_parameter": rename_parameter,
    "insert_networks": insert,
    "group": group,
    "unpack": unpack,
}
