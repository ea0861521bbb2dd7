"""The network while it is read: nodes, edges, and names for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any

from netloom.compile.formula.names import nearest
from netloom.compile.formula.values import Blueprint, Number, Tensor
from netloom.document import SUBNETWORK, Edge, Network, Node, is_identifier
from netloom.document.project import MAX_NODES
from netloom.layers import Layer, ParameterError, parse, registry
from netloom.layers.layer import SAMPLES, Kind
from netloom.layers.subnetwork import Subnetwork, interface

# Layers whose ports become more with this parameter.
COUNT = "count"


class Mistake(ValueError):  # noqa: N818
    """What was typed does not go; the message says why, and who catches it knows where."""


@dataclass
class Drawing:
    """Nodes and edges as they come; `networks` are those that may be called."""

    networks: Mapping[str, Network] = field(default_factory=dict)
    parameters: dict[str, int | float] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    # Inputs that were not declared, in the order in which they came up, and what their readers take.
    free: dict[str, tuple[Kind, ...]] = field(default_factory=dict)

    def node(
        self,
        kind: str,
        tensors: Sequence[Tensor | None],
        params: Mapping[str, Any] | None = None,
        extras: Mapping[str, Any] | None = None,
        name: str = "",
        named: Mapping[str, Tensor | None] = MappingProxyType({}),
    ) -> Tensor:
        """Draw one layer, its tensors given by place, or by port in `named`; returns its first output.

        Raises:
            Mistake: the layer does not take these parameters, or not so many tensors.
        """
        plain = {key: value.literal if isinstance(value, Number) else value for key, value in (params or {}).items()}
        plain = self._counted(kind, plain, len(tensors) + len(named))
        key = self.identifier(name, str(plain.get("network") or kind))
        made = Node.model_validate({"id": key, "type": kind, "params": _as_json(plain), **(extras or {})})
        layer = self.layer(made)
        if len(self.nodes) >= MAX_NODES:
            raise Mistake(f"a network can have at most {MAX_NODES:,} layers")
        given = self._by_port(layer, tensors, named)
        self.nodes[key] = made
        for port in layer.inputs():
            tensor = given.get(port.name)
            if tensor is not None:
                self.edges.append(Edge(source=tensor.reference, target=f"{key}.{port.name}"))
                if self.free.get(tensor.node) == () and port.kinds[0] != "any":
                    self.free[tensor.node] = port.kinds
        ports = tuple(port.name for port in layer.outputs())
        return Tensor(key, ports[0] if ports else "", ports)

    def takes_nothing(self, kind: str, params: Mapping[str, Any]) -> bool:
        """Whether a layer has no inputs, so that it is complete without tensors."""
        return not self.layer(Node(id="layer_1", type=kind, params=_as_json(dict(params)))).inputs()

    def use(self, blueprint: Blueprint, tensors: Sequence[Tensor | None], name: str) -> Tensor:
        """Draw a layer that is bound to a name; after the first time, with the weights of the first."""
        again = blueprint.first is not None and self._has_weights(blueprint.kind, blueprint.params)
        extras = {**blueprint.extras, **({"shares": blueprint.first} if again else {})}
        made = self.node(blueprint.kind, tensors, blueprint.params, extras, name)
        blueprint.first = blueprint.first or made.node
        return made

    def input(self, name: str) -> Tensor:
        """What comes into the network under a name that nothing else has."""
        key = self.identifier(name, "input")
        self.nodes[key] = Node(id=key, type="Input")
        self.free[key] = ()
        return Tensor(key, "out", ("out",))

    def layer(self, node: Node) -> Layer:
        """The layer of a node, with the ports of the network for which it stands.

        Raises:
            Mistake: its parameters are not what it takes.
        """
        try:
            layer = parse(node, self.parameters)
        except ParameterError as error:
            raise Mistake(str(error)) from None
        if isinstance(layer, Subnetwork) and layer.network in self.networks:
            layer = layer.looking(interface(self.networks[layer.network]))
        return layer

    def identifier(self, name: str, base: str) -> str:
        """`name` where it may be an id and is free, else the base with a number."""
        if is_identifier(name) and name not in self.nodes:
            return name
        base = "".join(letter for letter in base.lower() if letter.isascii() and (letter.isalnum() or letter == "_"))
        return next(key for number in count(1) if (key := f"{base[:50]}_{number}") not in self.nodes)

    def network(self) -> Network:
        """What was drawn, with what comes in first as the first Input."""
        for key, kinds in self.free.items():
            if kinds and "vector" not in kinds:
                sample = SAMPLES[kinds[0]]
                params: dict[str, Any] = {"kind": kinds[0], "shape": list(sample.shape[1:])}
                params |= {"vocabulary": 1_000} if kinds[0] == "tokens" else {}
                self.nodes[key] = self.nodes[key].model_copy(update={"params": params})
        # Undeclared names come in as they came up, but x, which is what a layer is applied to, comes first.
        order = sorted(self.nodes, key=lambda key: key not in self.free or key != "x")
        return Network(parameters=self.parameters, nodes=self.nodes, edges=tuple(self.edges)).ordered(order, self.nodes)

    def _counted(self, kind: str, params: dict[str, Any], given: int) -> dict[str, Any]:
        """The parameters with the number of branches, where so many come and it was not typed."""
        if COUNT in params or COUNT not in registry()[kind].model_fields:
            return params
        taken = len(self.layer(Node(id="layer_1", type=kind, params=_as_json(params))).inputs())
        return params if given in (0, 1, taken) or taken < 2 else {**params, COUNT: given}

    def _by_port(
        self, layer: Layer, tensors: Sequence[Tensor | None], named: Mapping[str, Tensor | None]
    ) -> Mapping[str, Tensor | None]:
        names, kind = [port.name for port in layer.inputs()], type(layer).__name__
        for name in named:
            if name not in names:
                known = [*type(layer).model_fields, *names]
                raise Mistake(f"{kind} has no parameter or input {name!r}{nearest(name, known)}; it has {_list(known)}")
        rest = [name for name in names if name not in named]
        if len(tensors) != len(rest):
            takes = f"{len(rest)} tensor{'s'[: len(rest) != 1]}" + (f" ({', '.join(rest)})" if names[1:] else "")
            raise Mistake(f"{kind} takes {takes}, received {len(tensors)}")
        return {**dict(zip(rest, tensors, strict=True)), **named}

    def _has_weights(self, kind: str, params: Mapping[str, Any]) -> bool:
        if kind == SUBNETWORK:
            inner = self.networks.get(str(params.get("network")))
            return inner is not None and any(
                node.type == SUBNETWORK or has_weights(node.type) for node in inner.nodes.values()
            )
        return has_weights(kind)


def has_weights(kind: str) -> bool:
    """Whether a layer learns anything, told from an example of it."""
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
