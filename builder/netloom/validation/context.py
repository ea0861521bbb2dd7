"""One use of a network: its layers, the tensors along its edges, and its sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from netloom.core.field_errors import FieldError
from netloom.document import Edge, Network, Project
from netloom.document.expression import Number
from netloom.layers import Layer, Port, TensorSpec, label
from netloom.layers.io import Input, Output
from netloom.layers.subnetwork import Subnetwork
from netloom.validation.along_axis import Step, count_steps
from netloom.validation.facts import (
    BYTES_PER_TRAINED_WEIGHT,
    BYTES_PER_WEIGHT,
    NodeFacts,
    Totals,
    bounded,
    tensor_bytes,
)
from netloom.validation.faults import fault
from netloom.validation.graph_views import cyclic, digraph, topological_order
from netloom.validation.issue import Issue
from netloom.validation.measure import Measure, Measured

if TYPE_CHECKING:
    import networkx as nx

    from netloom.data import Schema


class Contexts(Protocol):
    """What gives the contexts of networks in other networks, and measures layers."""

    def use(
        self,
        name: str,
        values: Mapping[str, Number] | None = None,
        inputs: Mapping[str, TensorSpec] | None = None,
        around: tuple[str, ...] = (),
    ) -> Context | None:
        """Return the context of a network with parameter values and input tensors; None if there are too many."""

    @property
    def measure(self) -> Measure:
        """The measurement of a layer."""


@dataclass(eq=False, repr=False)
class Context:
    """One use of a network, on which rules operate.

    `values` are the values of its parameters; `input_specs` are the tensors at its Inputs by node, if another network
    feeds them; `ancestors` are the networks that contain it, from the outermost. `measured` holds the measurement of
    each node whose inputs are known, and `inner` the context of each subnetwork node. `faults` are failures of Netloom
    itself; `before` is the previous context of this network, whose results replace those that failed.
    """

    project: Project
    name: str
    schema: Schema | None
    cache: Contexts
    values: Mapping[str, Number]
    input_specs: Mapping[str, TensorSpec] = field(default_factory=dict)
    ancestors: tuple[str, ...] = ()
    layers: dict[str, Layer] = field(default_factory=dict)
    parameter_errors: dict[str, tuple[FieldError, ...]] = field(default_factory=dict)
    measured: dict[str, Measured] = field(default_factory=dict)
    inner: dict[str, Context] = field(default_factory=dict)
    before: Context | None = None
    faults: list[Issue] = field(default_factory=list)
    # The nodes whose results are those of `before`, because nothing that they depend on has changed, and the nodes
    # whose results must not be used again.
    unchanged: set[str] = field(default_factory=set)
    unstable: set[str] = field(default_factory=set)
    _input_ports: dict[str, tuple[Port, ...]] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        return self.project.networks[self.name]

    @cached_property
    def graph(self) -> nx.DiGraph[str]:
        return digraph(self.network)

    @cached_property
    def cycle_nodes(self) -> set[str]:
        """The nodes on a cycle."""
        # The order of a network without cycles has all nodes.
        return cyclic(self.graph) if len(self.order) < len(self.network.nodes) else set()

    @cached_property
    def order(self) -> list[str]:
        return topological_order(self.successors)

    @cached_property
    def successors(self) -> dict[str, list[str]]:
        """The nodes that read each node, each once. Lists take a fifth of the time of a networkx graph."""
        table: dict[str, list[str]] = {node: [] for node in self.network.nodes}
        for node, sources in self.predecessors.items():
            for source in sources:
                table[source].append(node)
        return table

    @cached_property
    def predecessors(self) -> dict[str, list[str]]:
        """The nodes that each node reads, each once."""
        return {
            node: list(dict.fromkeys(edge.source_node for edge in edges.values()))
            for node, edges in self.incoming.items()
        }

    @cached_property
    def _all(self) -> list[str]:
        ordered = set(self.order)
        return [*self.order, *(node for node in self.network.nodes if node not in ordered)]

    @cached_property
    def incoming(self) -> dict[str, dict[str, Edge]]:
        """The edge at each connected input port, by node."""
        table: dict[str, dict[str, Edge]] = {node: {} for node in self.network.nodes}
        for edge in self.network.edges:
            table[edge.target_node][edge.target_port] = edge
        return table

    @cached_property
    def nodes(self) -> dict[str, NodeFacts]:
        """The facts of each node whose inputs are known."""
        facts: dict[str, NodeFacts] = {}
        for key, measured in self.measured.items():
            if measured.refusal is None:
                try:
                    facts[key] = self._known_facts(key) or self._facts(key, measured)
                except Exception as error:
                    self.record_fault(error, f"count the weights of {self.label(key)}", key)
        return facts

    @cached_property
    def totals(self) -> Totals:
        try:
            return self._totals()
        except Exception as error:
            self.record_fault(error, f"compute the cost of {self.name}")
            return self.before.totals if self.before else Totals()

    def _totals(self) -> Totals:
        nodes = self.nodes
        parameters = trainable = flops = activation_bytes = layers = calls = 0
        for facts in nodes.values():
            parameters += facts.parameters
            trainable += facts.trainable
            flops += facts.flops
            activation_bytes += facts.activation_bytes
        for key, layer in self.layers.items():
            layers += self._layers(key, layer)
            calls += self._calls(key, layer)
        inputs = [facts.outputs["out"] for key, facts in nodes.items() if isinstance(self.layers.get(key), Input)]
        weights = (parameters - trainable) * BYTES_PER_WEIGHT + trainable * BYTES_PER_TRAINED_WEIGHT
        return Totals(
            layers=bounded(layers),
            calls=bounded(calls),
            parameters=bounded(parameters),
            trainable=bounded(trainable),
            flops=bounded(flops),
            activation_bytes=bounded(activation_bytes),
            memory_bytes=bounded(
                weights + self.project.training.batch_size * (activation_bytes + sum(map(tensor_bytes, inputs)))
            ),
        )

    def of_type(self, layer_class: type[Layer]) -> list[str]:
        """Return the nodes of a type: first those in execution order, then those on or after a cycle."""
        return [node for node in self._all if isinstance(self.layers.get(node), layer_class)]

    def spec(self, edge: Edge) -> TensorSpec | None:
        """Return the tensor along an edge; None if it is unknown."""
        measured = self.measured.get(edge.source_node)
        return measured.outputs.get(edge.source_port) if measured else None

    def specs(self, node: str) -> dict[str, TensorSpec]:
        """Return the tensors at the input ports of a node by port, without unknown ones."""
        specs = {port: self.spec(edge) for port, edge in self.incoming[node].items()}
        return {port: spec for port, spec in specs.items() if spec is not None}

    def output_spec(self, output: str) -> TensorSpec | None:
        """Return the tensor that an Output node receives; None if it is unknown."""
        edge = self.incoming[output].get("in")
        return self.spec(edge) if edge else None

    def step(self, layer: Subnetwork) -> Step:
        """Return the tensors of a single step of this network, which `layer` applies along an axis."""
        states = {port: self.measured.get(node) for port, node in layer.interface.inputs if port in layer.states}
        outputs = {port: self.output_spec(node) for port, node in layer.interface.outputs}
        return Step(
            {port: measured.outputs["out"] for port, measured in states.items() if measured and layer.is_loop},
            {port: spec for port, spec in outputs.items() if spec is not None},
        )

    def count_tied_parameters(self, node: str) -> int:
        """Return the number of parameters that a node shares with another node."""
        source = self.network.nodes[node].shares
        weights, source_weights = self.measured.get(node), self.measured.get(source or "")
        if weights is None or source_weights is None or source == node:
            return 0
        source_shapes = dict(source_weights.weights)
        return sum(math.prod(shape) for name, shape in weights.weights if source_shapes.get(name) == shape)

    def label(self, node: str) -> str:
        """Return the name of a node in messages: its title, or its type and id, and its network unless that is main."""
        text = label(self.network.nodes[node])
        return text if self.name == self.project.main else f"{text} in {self.name}"

    def issue(self, code: str, message: str, node: str | None = None, **fields: object) -> Issue:
        values: dict[str, object] = {"severity": "error", **fields}
        return Issue(code=code, message=message, network=self.name, node=node, **values)  # type: ignore[arg-type]

    def record_fault(self, error: Exception, doing: str, node: str | None = None) -> None:
        """Record a failure of Netloom itself as an issue."""
        self.faults.append(fault(error, doing, self.name, node))

    def input_ports(self, key: str) -> tuple[Port, ...]:
        """Return the input ports of a node with a layer; those of a layer that has not changed are not made again."""
        if key not in self._input_ports:
            layer, before = self.layers[key], self.before
            known = before is not None and before.layers.get(key) is layer and key in before._input_ports
            self._input_ports[key] = before._input_ports[key] if before is not None and known else layer.inputs()
        return self._input_ports[key]

    def _known_facts(self, key: str) -> NodeFacts | None:
        """Return the facts of an unchanged node that shares no weights; None if they have to be computed."""
        if self.before is None or key not in self.unchanged or self.network.nodes[key].shares is not None:
            return None
        return self.before.nodes.get(key)

    def _facts(self, key: str, measured: Measured) -> NodeFacts:
        parameters = measured.parameters - self.count_tied_parameters(key)
        trainable = 0 if self.network.nodes[key].frozen else max(parameters - measured.frozen, 0)
        return NodeFacts(measured.outputs, parameters, trainable, measured.flops, measured.activation_bytes)

    def _layers(self, key: str, layer: Layer) -> int:
        if isinstance(layer, Subnetwork):
            return bounded(self.inner[key].totals.layers * layer.repeat) if key in self.inner else 1
        return int(not isinstance(layer, (Input, Output)))

    def _calls(self, key: str, layer: Layer) -> int:
        if not isinstance(layer, Subnetwork) or key not in self.inner:
            return self._layers(key, layer)
        steps = count_steps(layer, self.specs(key)) if layer.is_loop else 1
        return bounded(self.inner[key].totals.calls * layer.repeat * steps)


def fits(spec: TensorSpec, kinds: Iterable[str]) -> bool:
    """Return whether a port of these kinds accepts a tensor."""
    return "any" in kinds or spec.kind in kinds
