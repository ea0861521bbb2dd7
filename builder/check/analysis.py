"""All that can be known about a project before it runs: shapes, sizes and issues, from one pass over its graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import networkx as nx

from builder.check.issue import Issue, order
from builder.check.measure import Measured, measure
from builder.check.views import digraph, execution_order
from builder.graph import Edge, Network, Project
from builder.layers import Layer, ParameterError, TensorSpec, label, parse
from builder.layers.io import Input, Output

if TYPE_CHECKING:
    from builder.data import Schema

# Weights, their gradients and Adam's two moments, four bytes each.
BYTES_PER_WEIGHT = 4
BYTES_PER_TRAINED_WEIGHT = 16


@dataclass(frozen=True)
class NodeFacts:
    """One node's outputs by port; its parameters; FLOPs and bytes kept for the backward pass, both per example."""

    outputs: dict[str, TensorSpec]
    parameters: int
    flops: int
    activation_bytes: int


@dataclass(frozen=True)
class Totals:
    """Sums over a network. FLOPs are of one example's forward pass; memory is for training at the batch size."""

    layers: int = 0
    parameters: int = 0
    trainable: int = 0
    flops: int = 0
    memory_bytes: int = 0


@dataclass
class Context:
    """One network as the rules see it."""

    project: Project
    name: str
    network: Network
    schema: Schema | None
    layers: dict[str, Layer] = field(default_factory=dict)
    parameter_errors: dict[str, str] = field(default_factory=dict)
    measured: dict[str, Measured] = field(default_factory=dict)

    @cached_property
    def graph(self) -> nx.DiGraph[str]:
        return digraph(self.network)

    @cached_property
    def order(self) -> list[str]:
        return execution_order(self.graph)

    @cached_property
    def _all(self) -> list[str]:
        known = set(self.order)
        return [*self.order, *(node for node in self.network.nodes if node not in known)]

    @cached_property
    def incoming(self) -> dict[str, dict[str, Edge]]:
        """The edge at each connected input port, by node."""
        table: dict[str, dict[str, Edge]] = {node: {} for node in self.network.nodes}
        for edge in self.network.edges:
            table[edge.target_node][edge.target_port] = edge
        return table

    def of_type(self, layer_class: type[Layer]) -> list[str]:
        """The nodes of a type, in order of execution, then the rest."""
        return [node for node in self._all if isinstance(self.layers.get(node), layer_class)]

    def spec(self, edge: Edge) -> TensorSpec | None:
        """What flows along an edge, where that is known."""
        measured = self.measured.get(edge.source_node)
        return measured.outputs.get(edge.source_port) if measured else None

    def answer(self, output: str) -> TensorSpec | None:
        """What an Output node receives, where that is known."""
        edge = self.incoming[output].get("in")
        return self.spec(edge) if edge else None

    def label(self, node: str) -> str:
        """How messages name a node: its title, or else what it is and its id."""
        return label(self.network.nodes[node])

    def issue(self, code: str, message: str, node: str | None = None, **rest: object) -> Issue:
        values: dict[str, object] = {"severity": "error", **rest}
        return Issue(code=code, message=message, network=self.name, node=node, **values)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Analysis:
    """The result: every issue, and facts for each node whose inputs are known."""

    issues: list[Issue]
    nodes: dict[str, NodeFacts]
    totals: Totals
    context: Context

    @property
    def errors(self) -> list[Issue]:
        return [issue for issue in self.issues if issue.severity == "error"]

    def edge_spec(self, edge: Edge) -> TensorSpec | None:
        return self.context.spec(edge)


def analyse(project: Project, schema: Schema | None = None) -> Analysis:
    """Measure and check the main network.

    With the `schema` of the chosen data, inputs and outputs are checked against it as well. Repeated calls cost only
    what an edit changed, as each layer is measured once per input shape.
    """
    from builder.check.rules import RULES

    context = Context(project, project.main, project.main_network, schema)
    _parse(context)
    for node in context.order:
        _measure(context, node)
    nodes = {
        node: NodeFacts(found.outputs, found.parameters, found.flops, found.activation_bytes)
        for node, found in context.measured.items()
        if found.refusal is None
    }
    totals = _totals(context, nodes)
    issues = [issue for rule in RULES for issue in rule.check(context, totals)]
    return Analysis(order(issues), nodes, totals, context)


def validate(project: Project, schema: Schema | None = None) -> list[Issue]:
    """Every issue of a project, errors first."""
    return analyse(project, schema).issues


def _parse(context: Context) -> None:
    for key, node in context.network.nodes.items():
        try:
            context.layers[key] = parse(node)
        except ParameterError as error:
            context.parameter_errors[key] = str(error)


def _measure(context: Context, node: str) -> None:
    layer = context.layers.get(node)
    if layer is None:
        return
    if isinstance(layer, Input):
        context.measured[node] = Measured({"out": layer.spec()})
        return
    specs = []
    for port in layer.inputs():
        edge = context.incoming[node].get(port.name)
        spec = context.spec(edge) if edge else None
        if spec is None or not fits(spec, port.kinds):
            return
        specs.append((port.name, spec))
    context.measured[node] = Measured() if isinstance(layer, Output) else measure(layer, tuple(specs))


def fits(spec: TensorSpec, kinds: tuple[str, ...]) -> bool:
    """Whether a port of these kinds takes a tensor."""
    return "any" in kinds or spec.kind in kinds


def _totals(context: Context, nodes: dict[str, NodeFacts]) -> Totals:
    frozen = {key for key, node in context.network.nodes.items() if node.frozen}
    parameters = sum(facts.parameters for facts in nodes.values())
    trainable = sum(facts.parameters for key, facts in nodes.items() if key not in frozen)
    inputs = sum(
        _bytes(facts.outputs["out"]) for key, facts in nodes.items() if isinstance(context.layers.get(key), Input)
    )
    per_example = inputs + sum(facts.activation_bytes for facts in nodes.values())
    weights = (parameters - trainable) * BYTES_PER_WEIGHT + trainable * BYTES_PER_TRAINED_WEIGHT
    return Totals(
        layers=sum(not isinstance(layer, (Input, Output)) for layer in context.layers.values()),
        parameters=parameters,
        trainable=trainable,
        flops=sum(facts.flops for facts in nodes.values()),
        memory_bytes=weights + context.project.training.batch_size * per_example,
    )


def _bytes(spec: TensorSpec) -> int:
    total = 8 if spec.dtype == "int" else 4
    for length in spec.shape[1:]:
        total *= length or 1
    return total
