"""The builder of the network that a formula describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any

from netloom.compile.formula.names import suggestion
from netloom.compile.formula.values import BoundLayer, Number, Tensor
from netloom.document import SUBNETWORK, Edge, Network, Node, is_identifier
from netloom.document.initialization import Initialization
from netloom.document.network import MAX_NODES
from netloom.layers import Layer, ParameterError, parse, registry
from netloom.layers.io import Input
from netloom.layers.layer import SAMPLES, Kind
from netloom.layers.subnetwork import Subnetwork, interface

# The parameter that sets the number of input ports, as of Concat.
COUNT = "count"


class UnlocatedError(ValueError):
    """A mistake in a formula without its position; the caller that catches it adds line and column."""


@dataclass
class GraphBuilder:
    """Collects nodes and edges; `networks` are those that may be called."""

    networks: Mapping[str, Network] = field(default_factory=dict)
    parameters: dict[str, int | float] = field(default_factory=dict)
    initialization: Initialization | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    # Inputs that were not declared, in the order of their first use, with the kinds of data that the first layer takes.
    free: dict[str, tuple[Kind, ...]] = field(default_factory=dict)

    def add_node(
        self,
        kind: str,
        tensors: Sequence[Tensor | None],
        params: Mapping[str, Any] | None = None,
        extras: Mapping[str, Any] | None = None,
        name: str = "",
        named: Mapping[str, Tensor | None] = MappingProxyType({}),
    ) -> Tensor:
        """Add a layer with its input tensors by position, or by port in `named`. Returns its first output.

        Raises:
            UnlocatedError: The parameters or the number of tensors do not match the layer.
        """
        literals = {key: value.literal if isinstance(value, Number) else value for key, value in (params or {}).items()}
        literals = self._with_branch_count(kind, literals, len(tensors) + len(named))
        key = self.identifier(name, str(literals.get("network") or kind))
        node = Node.model_validate({"id": key, "type": kind, "params": _as_json(literals), **(extras or {})})
        layer = self.layer(node)
        if len(self.nodes) >= MAX_NODES:
            raise UnlocatedError(f"a network can have at most {MAX_NODES:,} layers")
        tensors_by_port = self._tensors_by_port(layer, tensors, named)
        self.nodes[key] = node
        for port in layer.inputs():
            tensor = tensors_by_port.get(port.name)
            if tensor is not None:
                self.edges.append(Edge(source=tensor.reference, target=f"{key}.{port.name}"))
                # The first layer that reads an undeclared Input decides its kind of data.
                if self.free.get(tensor.node) == () and port.kinds[0] != "any":
                    self.free[tensor.node] = port.kinds
        ports = tuple(port.name for port in layer.outputs())
        return Tensor(key, ports[0] if ports else "", ports)

    def takes_nothing(self, kind: str, params: Mapping[str, Any]) -> bool:
        """Whether a layer has no inputs, so that a call without tensors applies it."""
        return not self.layer(Node(id="layer_1", type=kind, params=_as_json(dict(params)))).inputs()

    def apply(self, layer: BoundLayer, tensors: Sequence[Tensor | None], name: str) -> Tensor:
        """Add a node for a bound layer; from the second call on, it shares the weights of the first node."""
        shares_weights = layer.first is not None and self._has_weights(layer.kind, layer.params)
        extras = {**layer.extras, **({"shares": layer.first} if shares_weights else {})}
        tensor = self.add_node(layer.kind, tensors, layer.params, extras, name)
        layer.first = layer.first or tensor.node
        return tensor

    def add_input(self, name: str) -> Tensor:
        """Add an Input for a name that no line defines."""
        key = self.identifier(name, "input")
        self.nodes[key] = Node(id=key, type="Input")
        self.free[key] = ()
        return Tensor(key, "out", ("out",))

    def layer(self, node: Node) -> Layer:
        """The layer of a node; a Subnetwork gets the ports of its network.

        Raises:
            UnlocatedError: The parameters are invalid.
        """
        try:
            layer = parse(node, self.parameters)
        except ParameterError as error:
            raise UnlocatedError(str(error)) from None
        if isinstance(layer, Subnetwork) and layer.network in self.networks:
            layer = layer.with_interface(interface(self.networks[layer.network]))
        return layer

    def identifier(self, name: str, base: str) -> str:
        """`name` if it is a valid and unused id, otherwise `base` with a number."""
        if is_identifier(name) and name not in self.nodes:
            return name
        base = "".join(letter for letter in base.lower() if letter.isascii() and (letter.isalnum() or letter == "_"))
        return next(key for number in count(1) if (key := f"{base[:50]}_{number}") not in self.nodes)

    def network(self) -> Network:
        """The finished network."""
        for key, kinds in self.free.items():
            # An Input without parameters is a vector already.
            if kinds and Input.model_fields["kind"].default not in kinds:
                sample = SAMPLES[kinds[0]]
                params: dict[str, Any] = {"kind": kinds[0], "shape": list(sample.shape[1:])}
                params |= {"vocabulary": 1_000} if sample.is_tokens else {}
                self.nodes[key] = self.nodes[key].model_copy(update={"params": params})
        # Undeclared Inputs come in the order of their use, except that x is first: by convention it is the main input.
        order = sorted(self.nodes, key=lambda key: key not in self.free or key != "x")
        network = Network(
            parameters=self.parameters,
            nodes=self.nodes,
            edges=tuple(self.edges),
            initialization=self.initialization,
        )
        return network.ordered(order, self.nodes)

    def _with_branch_count(self, kind: str, params: dict[str, Any], tensor_count: int) -> dict[str, Any]:
        """The parameters with the number of input ports set to the number of tensors, unless it is given explicitly."""
        if COUNT in params or COUNT not in registry()[kind].model_fields:
            return params
        port_count = len(self.layer(Node(id="layer_1", type=kind, params=_as_json(params))).inputs())
        return params if tensor_count in (0, 1, port_count) or port_count < 2 else {**params, COUNT: tensor_count}

    def _tensors_by_port(
        self, layer: Layer, tensors: Sequence[Tensor | None], named: Mapping[str, Tensor | None]
    ) -> Mapping[str, Tensor | None]:
        names, kind = [port.name for port in layer.inputs()], type(layer).__name__
        for name in named:
            if name not in names:
                known = [*type(layer).model_fields, *names]
                raise UnlocatedError(
                    f"{kind} has no parameter or input {name!r}{suggestion(name, known)}; it has {_list(known)}"
                )
        unnamed = [name for name in names if name not in named]
        if len(tensors) != len(unnamed):
            takes = f"{len(unnamed)} tensor{'s'[: len(unnamed) != 1]}" + (
                f" ({', '.join(unnamed)})" if names[1:] else ""
            )
            raise UnlocatedError(f"{kind} takes {takes}, received {len(tensors)}")
        return {**dict(zip(unnamed, tensors, strict=True)), **named}

    def _has_weights(self, kind: str, params: Mapping[str, Any]) -> bool:
        if kind == SUBNETWORK:
            inner = self.networks.get(str(params.get("network")))
            return inner is not None and any(
                node.type == SUBNETWORK or has_weights(node.type) for node in inner.nodes.values()
            )
        return has_weights(kind)


def has_weights(kind: str) -> bool:
    """Whether a layer has weights, as measured on its first example."""
    from netloom.validation.measure import measure

    return any(
        measure(registry()[kind].model_validate(example.params), tuple(example.inputs.items())).weights
        for example in registry()[kind].examples()[:1]
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _as_json(value: Any) -> Any:
    if isinstance(value, Number):
        return value.literal
    if isinstance(value, dict):
        return {key: _as_json(part) for key, part in value.items()}
    return [_as_json(part) for part in value] if isinstance(value, (list, tuple)) else value
