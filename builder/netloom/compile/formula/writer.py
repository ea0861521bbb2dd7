"""Writing of a network as a formula."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from netloom.compile.formula.graph_builder import GraphBuilder, UnlocatedError
from netloom.compile.formula.names import INITIALIZATION, NODE_FIELDS, FormulaError
from netloom.compile.formula.operators import PAIRS, SIGNS
from netloom.compile.formula.values import constant, is_numeric
from netloom.core.field_errors import comparable
from netloom.document import SUBNETWORK, Network, Node
from netloom.document.expression import FUNCTIONS, MAX_LENGTH, SIZE
from netloom.document.initialization import Initialization
from netloom.layers import Layer, form, label, registry
from netloom.validation import digraph, execution_order

_SIGNS = {kind: SIGNS[sign] for sign, kind in PAIRS.items()}


def text_of(network: Network, networks: Mapping[str, Network] = MappingProxyType({})) -> str:
    """The lines that `network_of` reads as this network again, with its ids but without positions and canvas comments.

    Raises:
        FormulaError: The network has a cycle, an edge to a port that does not exist, or an invalid layer.
    """
    return _Writer(network, networks).text()


class _Writer:
    def __init__(self, network: Network, networks: Mapping[str, Network]) -> None:
        self.network, self.networks = network, networks
        self.builder = GraphBuilder(networks, dict(network.parameters))
        self.layers = {key: self._layer(node) for key, node in network.nodes.items()}
        self.names = self._names()
        self.sources = {edge.target_node + "." + edge.target_port: edge for edge in network.edges}
        for edge in network.edges:
            for end, port, ports in (
                (edge.source_node, edge.source_port, self.layers[edge.source_node].outputs()),
                (edge.target_node, edge.target_port, self.layers[edge.target_node].inputs()),
            ):
                if port not in {known.name for known in ports}:
                    raise FormulaError(f"{label(network.nodes[end])} has no port {port!r}; remove its edge first.")

    def text(self) -> str:
        order = execution_order(digraph(self.network))
        if len(order) < len(self.network.nodes):
            raise FormulaError("these layers form a cycle, which cannot be written as code; remove an edge first.")
        nodes = self.network.nodes
        returned_outputs = self._returned_outputs()
        inputs = [key for key in self.network.ports("Input") if key in order]
        inner_nodes = [key for key in order if nodes[key].type != "Input" and key not in returned_outputs]
        lines = [f"{name} = {value!r}" for name, value in self.network.parameters.items()]
        if self.network.initialization is not None:
            lines.append(f"{INITIALIZATION} = {_written(self.network.initialization)}")
        lines += [self._line(key) for key in (*inputs, *inner_nodes)]
        returned = [self._source(key, "in") for key in returned_outputs]
        if returned or not any(node.type == "Output" for node in nodes.values()):
            lines.append(f"return {', '.join(returned)}".rstrip())
        return "\n".join(lines) + "\n"

    def _layer(self, node: Node) -> Layer:
        try:
            return self.builder.layer(node)
        except UnlocatedError as error:
            raise FormulaError(f"{label(node)}: {error}; fix this first.") from None

    def _names(self) -> dict[str, str]:
        """The name of each node in the text: its id, with underscores where a parameter has the same name."""
        used_names, names = set(self.network.parameters), {}
        for key in self.network.nodes:
            name = key
            while name in used_names:
                name += "_"
            used_names.add(name)
            names[key] = name
        return names

    def _returned_outputs(self) -> list[str]:
        """The Outputs, if a single `return` line reproduces all of them; otherwise an empty list."""
        keys = list(self.network.ports("Output"))
        # The parser gives these ids to the Outputs of a `return` line; other ids need a line per Output.
        if keys != [f"output_{number}" for number in range(1, len(keys) + 1)]:
            return []
        used_names: set[str] = set()
        for number, key in enumerate(keys, 1):
            node, edge = self.network.nodes[key], self.sources.get(f"{key}.in")
            if edge is None or self._extras(node):
                return []
            plain = self._source(key, "in")
            name = plain if "." not in plain and plain not in used_names else f"output_{number}"
            used_names.add(name)
            if node.params != ({"name": name[:64]} if keys[1:] else {}):
                return []
        return keys

    def _line(self, key: str) -> str:
        node = self.network.nodes[key]
        name, ports = self.names[key], [port.name for port in self.layers[key].inputs()]
        tensors = [self._source(key, port) for port in ports]
        if node.type in _SIGNS and not node.params and not self._extras(node) and "None" not in tensors:
            return f"{name} = {tensors[0]} {_SIGNS[node.type]} {tensors[1]}"
        called, words = self._call_arguments(node)
        return f"{name} = {called}({', '.join([*tensors, *words])})"

    def _call_arguments(self, node: Node) -> tuple[str, list[str]]:
        """The name that is called, and its keyword arguments."""
        params, called = dict(node.params), node.type
        inner = self.networks.get(str(params.get("network"))) if node.type == SUBNETWORK else None
        words = []
        # A network can be called by its name, with its parameters as keyword arguments.
        if inner is not None:
            called = str(params.pop("network"))
            values = params.get("values")
            known = set(inner.parameters) - set(registry()[SUBNETWORK].model_fields) - set(NODE_FIELDS)
            if isinstance(values, dict) and values and set(values) <= known:
                del params["values"]
                words = [f"{name}={self._number(value)}" for name, value in values.items()]
        fields = {field.name: field.kind for field in form(registry()[node.type])}
        words += [f"{name}={self._value(value, fields[name])}" for name, value in params.items()]
        return called, [*words, *self._extras(node)]

    def _extras(self, node: Node) -> list[str]:
        fields = {"title": node.title, "note": node.note, "frozen": node.frozen, "shares": node.shares}
        words = [f"{name}={value!r}" for name, value in fields.items() if value and name != "shares"]
        if node.shares:
            shared_name = self.names.get(node.shares)
            words.append(f"shares={shared_name if shared_name == node.shares else repr(node.shares)}")
        if node.initialization is not None:
            words.append(f"initialization={_written(node.initialization)}")
        return words

    def _source(self, key: str, port: str) -> str:
        """The name of the tensor at an input port."""
        edge = self.sources.get(f"{key}.{port}")
        if edge is None:
            return "None"
        ports = [known.name for known in self.layers[edge.source_node].outputs()]
        name = self.names[edge.source_node]
        return name if edge.source_port == ports[0] else f"{name}.{edge.source_port}"

    def _value(self, value: Any, kind: str) -> str:
        if kind in ("int", "float", "ints", "values"):
            if isinstance(value, dict):
                return "{" + ", ".join(f"{key!r}: {self._number(part)}" for key, part in value.items()) + "}"
            if isinstance(value, list):
                return f"({', '.join(map(self._number, value))}{',' if len(value) == 1 else ''})"
            return self._number(value)
        return repr(value)

    def _number(self, value: Any) -> str:
        """The code of a number, or of an expression without quotes if the parser reads it as the same expression."""
        if not isinstance(value, str) or value != value.strip() or "\n" in value or len(value) > MAX_LENGTH:
            return repr(value)
        try:
            tree = ast.parse(value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return repr(value)
        shadowed = {comparable(name) for name in (*FUNCTIONS, SIZE)} & set(self.names.values())
        bare = constant(tree) is None and is_numeric(tree, self.network.parameters) and not shadowed
        return value if bare and not isinstance(tree, ast.Constant) and "#" not in value else repr(value)


def _written(initialization: Initialization) -> str:
    """An initialization as code: its method, or a dict if it has options."""
    values = initialization.to_json()
    return repr(values if len(values) > 1 else initialization.method)
