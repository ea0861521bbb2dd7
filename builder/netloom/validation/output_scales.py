"""The scale of each output of a network: logits, probabilities or log-probabilities.

The scale is determined once, from the graph, for losses, metrics, predictions, explanations, attacks and exports. All
of these work with logits. Outputs on another scale become logits in one of two ways:

- If an activation alone makes the probabilities, as in `Linear → Softmax → Output`, the activation is left out
  (`removed`), which is exact. Layers that only rearrange values (Identity, Dropout, Flatten, Reshape, Permute,
  Select …), `log`, `exp` and nested networks may lie between the activation and the Output.
- Otherwise, for example after an average of several softmaxes, the logits are computed from the probabilities
  (`converted`) with the precision of float32; see `netloom.nn.probability`.

Unclear cases depend on whether the values at the Output are probabilities of what the objective predicts. They are not
after a softmax along an axis other than the classes, a softmax that is scaled or shifted, or a Flatten that merges the
axis of the softmax with another one: such outputs are read as logits, as PyTorch would, and `Reading.doubt` says so.
With an objective that predicts one of several classes, sigmoids are independent probabilities of each class and are
divided by their sum, as in scikit-learn's one-vs-rest. With an objective that predicts separate labels, a softmax gives
the probability of each label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from netloom.document import Edge, Project
from netloom.layers import Layer, TensorSpec, registry
from netloom.layers.code import Code
from netloom.layers.io import Input
from netloom.layers.probability import OutputActivation, Probabilities, stacked
from netloom.layers.subnetwork import Subnetwork
from netloom.tasks import task
from netloom.tasks.outputs import LogitSpec
from netloom.validation.context import Context
from netloom.validation.context_cache import ContextCache

if TYPE_CHECKING:
    from netloom.data import Schema


class OutputScale(StrEnum):
    """The scale of the values of an output."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    LOG_PROBABILITIES = "log_probabilities"


@dataclass(frozen=True)
class Reading:
    """The scale of one output of a network, and how its values become logits.

    `node` is the layer that computes the output; `shared` means that other nodes read this layer too, or that it has
    several outputs. `removed` are the paths of the modules that are omitted to get logits; if it is empty, the
    probabilities are converted. `doubt` describes a likely mistake in the network, or is empty.
    """

    node: str
    scale: OutputScale = OutputScale.LOGITS
    family: OutputActivation = "softmax"
    removed: tuple[str, ...] = ()
    shared: bool = False
    doubt: str = ""
    # The axis of the classes, if the probabilities sum to 1 along another axis
    axis: int | None = None

    @property
    def plain(self) -> bool:
        return self.scale == OutputScale.LOGITS


def readings(project: Project, schema: Schema | None = None) -> tuple[Reading | None, ...]:
    """Return the scale of each output of the main network, in the order of its Outputs.

    The entry of an output is None if the objective does not expect logits there, so that it is not converted. The
    result is empty if the objective does not expect logits at all.
    """
    logit_specs = task(project.training.objective).output_probabilities(schema, project.training)
    if not any(logit_specs):
        return ()
    # Without such a layer, the network need not be measured to know that all outputs are logits.
    if not any(layer is not None and layer.makes_probabilities for layer in _types(project)):
        return tuple(Reading("") if logits else None for logits in logit_specs)
    context = ContextCache(project, schema).use(project.main)
    if context is None:
        return ()
    outputs = context.network.ports("Output")
    return tuple(
        reading(context, output, logits) if logits else None
        for output, logits in zip(outputs, logit_specs, strict=False)
    )


def scales(project: Project, schema: Schema | None = None) -> tuple[tuple[str, str] | None, ...]:
    """Return the scale and the family of each output, or None for an output that is not converted to logits.

    The result is empty if no output is converted.
    """
    pairs = tuple(
        (str(reading.scale), reading.family) if reading and not reading.plain else None
        for reading in readings(project, schema)
    )
    return pairs if any(pairs) else ()


def _types(project: Project) -> Iterator[type[Layer] | None]:
    catalogue = registry()
    for network in project.networks.values():
        for node in network.nodes.values():
            yield catalogue.get(node.type)


def reading(context: Context, output: str, logits: LogitSpec) -> Reading:
    """Return the scale of the values at an Output of a main network, for an objective that expects these logits."""
    edge = context.incoming[output].get("in")
    spec = context.spec(edge) if edge is not None else None
    if edge is None or spec is None or len(spec.shape) != logits.dims:
        return Reading("")  # if the data is known, another rule reports this
    tracer = ProbabilityTracer(context)
    traced, source = tracer.trace(edge), context.layers.get(edge.source_node)
    shared = _readers(context, edge) > 1 or (source is not None and len(source.outputs()) > 1)
    if traced is None:
        return Reading(edge.source_node, shared=shared, doubt=_doubt(tracer, edge))
    probabilities = traced.probabilities
    if probabilities.family == "softmax" and logits.family == "softmax" and probabilities.axis != logits.axis:
        name = context.label(edge.source_node)
        doubt = (
            f"{name} returns probabilities along axis {probabilities.axis}, but the classes are along axis "
            f"{logits.axis}, so its output is treated as logits; set its axis to {logits.axis}"
        )
        return Reading(edge.source_node, shared=shared, doubt=doubt, axis=logits.axis)
    # An activation that another node reads too must stay, and so must a sigmoid in place of a softmax.
    removable = probabilities.removable and _readers(context, edge) == 1 and probabilities.family == logits.family
    return Reading(
        edge.source_node,
        OutputScale.LOG_PROBABILITIES if probabilities.log else OutputScale.PROBABILITIES,
        logits.family,
        traced.steps if removable else (),
        shared,
        _mismatch(context, edge, probabilities, logits, spec),
    )


def _mismatch(context: Context, edge: Edge, probabilities: Probabilities, logits: LogitSpec, spec: TensorSpec) -> str:
    """Return why probabilities are not those that the objective predicts; empty if they are."""
    name = context.label(edge.source_node)
    if probabilities.family == "softmax" and spec.shape[probabilities.axis] == 1:
        return f"{name} over a single value is always 1; replace it with a Sigmoid, or remove it"
    if probabilities.family == logits.family or spec.shape[logits.axis] == 1:
        return ""
    if logits.family == "softmax":
        return (
            f"{name} returns independent probabilities, but this objective predicts a single class, so they are "
            "divided by their sum; replace it with a Softmax, or remove it"
        )
    return (
        f"{name} returns probabilities that sum to 1, but in this objective labels are independent; replace it with "
        "a Sigmoid, or remove it"
    )


@dataclass(frozen=True)
class TracedProbabilities:
    """Probabilities, and the paths of the modules that compute them from logits."""

    probabilities: Probabilities
    steps: tuple[str, ...] = ()

    def fixed(self) -> TracedProbabilities:
        """Return the same probabilities with no module that can be omitted."""
        return replace(self, probabilities=replace(self.probabilities, removable=False))


class ProbabilityTracer:
    """Trace probabilities through a network, whose module path within the main network is `prefix`.

    `trace_input` returns the probabilities at an Input of a network that is used inside another one.
    """

    def __init__(
        self, context: Context, prefix: str = "", trace_input: Callable[[str], TracedProbabilities | None] | None = None
    ) -> None:
        self.context, self.prefix, self.trace_input = context, prefix, trace_input
        self._known: dict[tuple[str, str], TracedProbabilities | None] = {}
        self._is_walked = False

    def trace(self, edge: Edge) -> TracedProbabilities | None:
        """Return the probabilities that flow along an edge; None if its values are not probabilities."""
        if not self._is_walked:
            self._is_walked = True
            # In execution order, because recursion from the last of several hundred layers would exceed the stack.
            for node in self.context.order:
                for port in layer.outputs() if (layer := self.context.layers.get(node)) else ():
                    self._port(node, port.name)
        return self._port(edge.source_node, edge.source_port)

    def _port(self, node: str, port: str) -> TracedProbabilities | None:
        """Return the probabilities at an output port of a node."""
        key = (node, port)
        if key not in self._known:
            self._known[key] = None  # ends the recursion in a cycle
            self._known[key] = self._compute(*key)
        return self._known[key]

    def _compute(self, key: str, port: str) -> TracedProbabilities | None:
        layer = self.context.layers.get(key)
        if isinstance(layer, Input):
            return self.trace_input(key) if self.trace_input is not None else None
        if isinstance(layer, Subnetwork):
            return self._through_subnetwork(key, layer, port)
        measured = self.context.measured.get(key)
        out = measured.outputs.get("out") if measured is not None and len(measured.outputs) == 1 else None
        if layer is None or out is None:
            return None
        return self._through_layer(key, layer, out)

    def _through_layer(self, key: str, layer: Layer, out: TensorSpec) -> TracedProbabilities | None:
        """Return the probabilities that a layer computes from its inputs."""
        edges = self.context.incoming[key]
        sources = {name: traced for name, edge in edges.items() if (traced := self.trace(edge))}
        inputs = {name: traced.probabilities for name, traced in sources.items()}
        probabilities = layer.probabilities(inputs, self.context.specs(key), out)
        if probabilities is None:
            return None
        if layer.makes_probabilities or not sources:
            return TracedProbabilities(probabilities, (f"{self.prefix}{key}",))
        first = next(iter(sources.values()))
        steps = tuple(dict.fromkeys(step for traced in sources.values() for step in traced.steps))
        # `log` or `exp`: without the activation, it has to be omitted as well.
        if probabilities.log != first.probabilities.log:
            steps = (*steps, f"{self.prefix}{key}")
        result = TracedProbabilities(probabilities, steps)
        is_only_reader = all(_readers(self.context, edge) == 1 for edge in edges.values())
        return result if is_only_reader else result.fixed()

    def _through_subnetwork(self, key: str, layer: Subnetwork, port: str) -> TracedProbabilities | None:
        """Return the probabilities at an output port of a subnetwork node."""
        inner, output = self.context.inner.get(key), layer.inner_output(port)
        edge = inner.incoming[output].get("in") if inner is not None and output is not None else None
        if inner is None or edge is None:
            return None
        entries = {node: name for name, node in layer.interface.inputs}

        def trace_outer(node: str) -> TracedProbabilities | None:
            outer = self.context.incoming[key].get(entries.get(node, ""))
            # From the second repetition on, the first Input reads the output of the repetition before. A step along an
            # axis reads a part of the input.
            traced = self.trace(outer) if outer is not None and layer.runs_once else None
            return traced if traced is None or outer is None or _readers(self.context, outer) == 1 else traced.fixed()

        traced = ProbabilityTracer(inner, f"{self.prefix}{key}.", trace_outer).trace(edge)
        if traced is None or (layer.runs_once and _readers(inner, edge) == 1):
            return traced
        if layer.is_loop and port not in layer.final_states:
            traced = replace(traced, probabilities=stacked(traced.probabilities, layer.axis))
        return traced.fixed()


def _readers(context: Context, edge: Edge) -> int:
    """Return the number of edges from the port at which an edge starts."""
    source = (edge.source_node, edge.source_port)
    return sum((consumer.source_node, consumer.source_port) == source for consumer in context.network.edges)


def _doubt(tracer: ProbabilityTracer, edge: Edge) -> str:
    """Return why values computed from probabilities are not treated as probabilities; empty if there is no doubt."""
    context, node = tracer.context, edge.source_node
    if isinstance(context.layers.get(node), Code):
        return ""
    while True:
        measured, incoming = context.measured.get(node), list(context.incoming[node].values())
        # A layer with weights can turn probabilities into logits.
        learns = measured is None or measured.parameters > 0
        if learns or len(incoming) != 1 or isinstance(context.layers.get(node), (Input, Subnetwork)):
            return ""
        if tracer.trace(incoming[0]) is not None:
            return (
                f"{context.label(node)} changes the probabilities of {context.label(incoming[0].source_node)}, so "
                "the output is treated as logits; remove it, or move it before them"
            )
        node = incoming[0].source_node
