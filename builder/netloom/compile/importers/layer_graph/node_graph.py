"""Nodes, edges and weights of an imported network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from netloom.compile.importers.imported_model import UnreadableModelError
from netloom.compile.importers.layer_graph.values import Array, Tensor, UnsupportedOperatorError
from netloom.compile.importers.remarks import Remarks
from netloom.core.text import plain
from netloom.document import SUBNETWORK, Edge, Network, Node, is_identifier
from netloom.layers import TensorSpec
from netloom.layers.catalogue import parse
from netloom.validation.context import fits
from netloom.validation.measure import measure


@dataclass
class NodeGraph:
    """Nodes, edges and weights of the network, whose shapes are computed as nodes are added, and the remarks."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    specs: dict[str, TensorSpec] = field(default_factory=dict)
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    weights: dict[str, dict[str, Array]] = field(default_factory=dict)
    remarks: Remarks = field(default_factory=Remarks)
    shared_weights: dict[tuple[str, str], str] = field(default_factory=dict)
    products: dict[str, tuple[Tensor, Tensor]] = field(
        default_factory=dict
    )  # the operands of each MatMul, by its output
    weight_tables: dict[str, Array] = field(default_factory=dict)  # trainable tensors of the file, complete
    untrained: list[Array] = field(default_factory=list)  # what the program computes from no parameter
    attention_masks: dict[tuple[object, ...], Tensor] = field(
        default_factory=dict
    )  # masks in the form that attention takes
    networks: dict[str, Network] = field(default_factory=dict)  # the networks of one step of each loop
    loop_weights: dict[str, dict[str, Array]] = field(default_factory=dict)  # their weights, by the node of the loop

    def remark(self, text: str, part: str = "") -> None:
        """Add a remark, once; those on several parts, such as layers, are counted."""
        self.remarks.add(text, part)

    def reachable_nodes(self) -> set[str]:
        """The nodes on which an output depends, the nodes whose weights they share, and all inputs.

        Raises:
            UnreadableModelError: No output depends on an input.
        """
        reached = {key for key, node in self.nodes.items() if node.type == "Input"}
        pending = [key for key, node in self.nodes.items() if node.type == "Output"]
        if not pending:
            raise UnreadableModelError(
                "None of the network's outputs depends on its inputs, so there is nothing to import."
            )
        while pending:
            key = pending.pop()
            if key not in reached:
                reached.add(key)
                pending += [ref.partition(".")[0] for ref in self.sources[key].values()]
                shares = self.nodes[key].shares
                pending += [shares] if shares else []
        return reached

    def prune(self) -> None:
        """Remove the nodes on which no output depends."""
        reached = self.reachable_nodes()
        for key in [key for key in self.nodes if key not in reached]:
            del self.nodes[key]
            self.weights.pop(key, None)
        self.edges[:] = [edge for edge in self.edges if edge.target_node in reached]

    def rename(self, key: str, name: str) -> str:
        """Rename a node with one output and return its new id; its position in the order does not change."""
        if key == name:
            return key
        new = self._identifier(name, self.nodes[key].type)
        title = "" if name == new else plain(name)[:200]
        renamed = self.nodes[key].model_copy(update={"id": new, "title": title})
        self.nodes = {new if old == key else old: renamed if old == key else node for old, node in self.nodes.items()}
        sharing = {old: node for old, node in self.nodes.items() if node.shares == key}
        self.nodes |= {old: node.model_copy(update={"shares": new}) for old, node in sharing.items()}
        if key in self.weights:
            self.weights[new] = self.weights.pop(key)
        self.specs[new] = self.specs.pop(key)
        self.sources[new] = self.sources.pop(key)
        for index, edge in enumerate(self.edges):
            source = new if edge.source == key else edge.source
            target = f"{new}.{edge.target_port}" if edge.target_node == key else edge.target
            self.edges[index] = Edge(source=source, target=target)
        for ports in self.sources.values():
            ports.update({port: new for port, ref in ports.items() if ref == key})
        return new

    def add_node(
        self,
        kind: str,
        inputs: Mapping[str, Tensor] | Tensor | None = None,
        name: str = "",
        /,
        *,
        weights: Mapping[str, Array] | None = None,
        weight: str = "",
        frozen: bool = False,
        **params: Any,
    ) -> str:
        """Add a node with its edges and weights; returns its id. `weight` is the name of its main weights in the file.

        Raises:
            UnsupportedOperatorError: The layer does not accept the inputs or the shapes of the weights.
        """
        tensors = {"in": inputs} if isinstance(inputs, Tensor) else dict(inputs or {})
        key = self._identifier(name or kind, kind)
        main = f"{weight} {(weights or {})['weight'].shape}" if weight and weights else ""
        # The first node with a tensor of the file owns it; further nodes of the same kind share its weights.
        shares = self.shared_weights.get((kind, main)) if main else None
        params = {field: list(value) if isinstance(value, tuple) else value for field, value in params.items()}
        title = "" if name.startswith("node_") or name == key else plain(name)[:200]
        node = Node(id=key, type=kind, params=params, title=title, frozen=frozen, shares=shares)
        try:
            layer = parse(node)
        except ValueError as error:
            raise UnsupportedOperatorError(str(error).removesuffix(".")) from None
        if kind == "Input":
            self.specs[key] = layer.spec()  # type: ignore[attr-defined]
        elif kind != "Output":
            for port in layer.inputs():
                if not fits(tensors[port.name].spec, port.kinds):
                    raise UnsupportedOperatorError(f"the layer {kind} does not accept {tensors[port.name].spec}")
            measured = measure(layer, tuple((port.name, tensors[port.name].spec) for port in layer.inputs()))
            if measured.refusal:
                raise UnsupportedOperatorError(measured.refusal)
            for port_name, spec in measured.outputs.items():
                self.specs[key if port_name == "out" else f"{key}.{port_name}"] = spec
            for weight_name, shape in measured.weights:
                part = str(weight_name)
                if weights is None or part not in weights or weights[part].shape != shape:
                    raise UnsupportedOperatorError(f"its {part} should be of the shape {shape}")
        self.nodes[key] = node
        self.sources[key] = {port: tensor.ref for port, tensor in tensors.items()}
        self.edges += [Edge(source=tensor.ref, target=f"{key}.{port}") for port, tensor in tensors.items()]
        if weights:
            self.weights[key] = dict(weights)
        if main and not shares:
            self.shared_weights[kind, main] = key
        return key

    def add_network_node(
        self, name: str, params: Mapping[str, Any], inputs: Mapping[str, Tensor], outputs: Mapping[str, TensorSpec]
    ) -> str:
        """Add a node that uses one of the `networks`, with its inputs and outputs by port; returns its id."""
        key = self._identifier(name or str(params["network"]), SUBNETWORK)
        title = "" if name.startswith("node_") or name == key else plain(name)[:200]
        self.nodes[key] = Node(id=key, type=SUBNETWORK, params=dict(params), title=title)
        self.specs |= {key if port == "out" else f"{key}.{port}": spec for port, spec in outputs.items()}
        self.sources[key] = {port: tensor.ref for port, tensor in inputs.items()}
        self.edges += [Edge(source=tensor.ref, target=f"{key}.{port}") for port, tensor in inputs.items()]
        return key

    def all_weights(self) -> dict[str, Array]:
        """The weights of all nodes, also those inside loops, by the names that they have in the compiled network."""
        parts_by_node = [*self.weights.items(), *self.loop_weights.items()]
        return {
            f"{key}.{part}": array for key, parts in parts_by_node if key in self.nodes for part, array in parts.items()
        }

    def used_networks(self) -> dict[str, Network]:
        """Those of `networks` that a node, or a node in one of them, uses."""
        used: dict[str, Network] = {}
        pending = list(self.nodes.values())
        while pending:
            name = str(pending.pop().params.get("network", ""))
            if name in self.networks and name not in used:
                used[name] = self.networks[name]
                pending += used[name].nodes.values()
        return used

    def reconnect(self, reader: str, port: str, ref: str) -> None:
        """Let a port of a node read another tensor of the same shape."""
        target = f"{reader}.{port}"
        position = self.edges.index(Edge(source=self.sources[reader][port], target=target))
        self.edges[position] = Edge(source=ref, target=target)
        self.sources[reader][port] = ref

    def set_params(self, key: str, **params: Any) -> None:
        """Set parameters of a node that add outputs and change neither its inputs nor its weights."""
        node = self.nodes[key]
        self.nodes[key] = node.model_copy(update={"params": {**node.params, **params}})
        layer = parse(self.nodes[key])
        specs = tuple((port.name, self.specs[self.sources[key][port.name]]) for port in layer.inputs())
        for port_name, spec in measure(layer, specs).outputs.items():
            self.specs[key if port_name == "out" else f"{key}.{port_name}"] = spec

    def add_layer(self, kind: str, inputs: Mapping[str, Tensor] | Tensor, name: str = "", /, **params: Any) -> Tensor:
        """Add a layer with one output; each axis of the result is one axis of the port."""
        return self.output(self.add_node(kind, inputs, name, **params))

    def output(self, key: str, port: str = "out") -> Tensor:
        """The output of a port, each of whose axes is one axis of the port."""
        return self.tensor(key if port == "out" else f"{key}.{port}")

    def tensor(self, ref: str) -> Tensor:
        """The tensor of a reference, each of whose axes is one axis of the port."""
        spec = self.specs[ref]
        return Tensor(ref, spec, tuple((axis,) for axis in range(len(spec.shape))))

    def ports(self, key: str) -> list[str]:
        """The names of a node's outputs, in the order of the layer."""
        return [port.name for port in parse(self.nodes[key]).outputs()]

    def with_axes_of(self, result: Tensor, old: Tensor, boolean: bool = False) -> Tensor:
        """The result of a layer that keeps the shape of `old`, with the axes of `old`."""
        return Tensor(result.ref, result.spec, old.axes, boolean)

    def _identifier(self, name: str, kind: str) -> str:
        text = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.removeprefix("node_"))
        text = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:48].strip("_")
        if not text or not text[0].isalpha():
            text = f"{kind.lower()}_{text}".rstrip("_")
        for number in count(1):
            identifier = text if number == 1 and kind not in ("Input", "Output") else f"{text}_{number}"
            if identifier not in self.nodes and is_identifier(identifier):
                return identifier
        raise AssertionError("there is always a number left")
