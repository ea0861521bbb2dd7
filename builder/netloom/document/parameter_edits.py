"""Edits of the parameters that a network exposes, and the expressions that read them."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from netloom.document.composition import CompositionError, known_network
from netloom.document.expression import FUNCTIONS, SIZE, ExpressionError, names_in
from netloom.document.field_types import is_identifier, misnamed
from netloom.document.network import SUBNETWORK, Network, Node
from netloom.document.project import Project

# The numeric parameters of each layer type, or None if they are not known
Numbers = Mapping[str, Sequence[str]] | None


def expose(project: Project, edit: Mapping[str, Any]) -> Project:
    """Replace the parameters that a network exposes, with their defaults."""
    name = known_network(project, edit["network"])
    checked = Network.model_validate({"parameters": edit["values"]})
    return project.with_network(name, project.networks[name].model_copy(update={"parameters": checked.parameters}))


def rename_parameter(project: Project, edit: Mapping[str, Any]) -> Project:
    """Rename a parameter of a network, also in its expressions and in the nodes that set its value.

    `numbers` lists, by type of layer, the parameters that are numbers: in others the same word may be plain text.

    Raises:
        CompositionError: The parameter does not exist, or the new name is invalid or taken.
    """
    name, old, new = known_network(project, edit["network"]), edit["name"], edit["to"]
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
        params = {key: _renamed(value, old, new) for key, value in node.params.items() if key in numbers[node.type]}
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
    for key, changed_network in networks.items():
        if name in project.uses(key):
            networks[key] = changed_network.model_copy(
                update={"nodes": {at: using(node) for at, node in changed_network.nodes.items()}}
            )
    return project.model_copy(update={"networks": networks})


def _renamed(value: Any, old: str, new: str) -> Any:
    """A value with `old` renamed to `new` in its expressions, which keep their spaces and parentheses."""
    if isinstance(value, list):
        return [_renamed(part, old, new) for part in value]
    if isinstance(value, dict):
        return {key: _renamed(part, old, new) for key, part in value.items()}
    if not isinstance(value, str) or old not in _names_in(value):
        return value
    text = value.strip().encode()  # col_offset counts bytes of UTF-8, not characters
    tree = ast.parse(text.decode(), mode="eval")
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    read = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called)
    positions = [node.col_offset for node in read if node.id == old]
    # From the end, so that the offsets before a replacement stay valid
    for offset in sorted(positions, reverse=True):
        text = text[:offset] + new.encode() + text[offset + len(old) :]
    return text.decode()


def substituted(value: Any, values: Mapping[str, Any]) -> Any:
    """A value with the parameters of its network replaced by their values."""
    if isinstance(value, list):
        return [substituted(part, values) for part in value]
    if isinstance(value, dict):
        return {key: substituted(part, values) for key, part in value.items()}
    if not isinstance(value, str) or not _names_in(value) & set(values):
        return value
    # A parameter alone is replaced by the value itself, which stays a number instead of text.
    if value.strip() in values:
        return values[value.strip()]

    class Exchange(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            # In parentheses, so that a * b with a = "c + d" keeps its meaning
            return ast.parse(f"({values[node.id]})", mode="eval").body if node.id in values else node

    return ast.unparse(Exchange().visit(ast.parse(value.strip(), mode="eval")))


def names_read(node: Node, numbers: Numbers) -> set[str]:
    """The names that the expressions in the parameters of a node read."""
    read = (value for item, value in node.params.items() if is_number(node, item, numbers))
    return {name for value in read for text in _texts(value) for name in _names_in(text)}


def is_number(node: Node, item: str, numbers: Numbers) -> bool:
    """Whether a parameter is a number, which may be written as an expression."""
    return numbers is None or item in numbers.get(node.type, ())


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    return [text for part in parts for text in _texts(part)]


def _names_in(text: str) -> frozenset[str]:
    try:
        return names_in(text)
    except ExpressionError:
        return frozenset()
