"""On which scale each answer of a network stands: logits, probabilities or log-probabilities.

This is decided once, from the graph, and holds everywhere: in losses, measures, predictions, explanations, attacks and
exports. All of these work with logits. An answer that is something else becomes logits in one of two ways:

- Where it is an activation's alone, as `Linear → Softmax → Output`, the activation is left out (`removed`), which is
  exact. Layers that only move numbers (Identity, Dropout, Flatten, Reshape, Permute, Select …), `log` and `exp`, and
  networks within networks may stand between the activation and the Output.
- Elsewhere, as behind an average of several softmaxes, the logits are computed from the probabilities (`converted`), as
  near as float32 has them: see `netloom.nn.probability`.

The rule in unclear cases: what counts is whether the numbers at the Output are probabilities of what the objective
tells. A softmax along another axis than that of the classes, one that is multiplied or shifted, or one whose axis is
mixed with another by a Flatten, does not give any; such answers are taken for the logits that they would be to PyTorch,
and `Reading.doubt` says so. Sigmoids under an objective that chooses one of several classes are probabilities of each
class by itself, and are divided by their sum, as scikit-learn does for one-vs-rest. A softmax under an objective of
single labels gives the probability of each label.
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
from netloom.layers.probability import Family as Kind
from netloom.layers.probability import Probabilities
from netloom.layers.subnetwork import Subnetwork
from netloom.tasks import task
from netloom.tasks.outputs import LogitSpec
from netloom.validation.context import Context, Family

if TYPE_CHECKING:
    from netloom.data import Schema


class OutputScale(StrEnum):
    """What the numbers of an answer are."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    LOG_PROBABILITIES = "log_probabilities"


@dataclass(frozen=True)
class Reading:
    """How one answer is read.

    `node` gives it; `shared` says that it gives more than that. `removed` are the paths of the modules that are left
    out for logits; where there are none, the answer is converted. `doubt` is what may not be meant so, in a sentence.
    """

    node: str
    scale: OutputScale = OutputScale.LOGITS
    family: Kind = "softmax"
    removed: tuple[str, ...] = ()
    shared: bool = False
    doubt: str = ""
    # Along which axis its shares would have to lie, where they lie along another.
    axis: int | None = None

    @property
    def plain(self) -> bool:
        return self.scale == OutputScale.LOGITS


def readings(project: Project, schema: Schema | None = None) -> tuple[Reading | None, ...]:
    """How the answers of a project's main network are read, in the order of its Outputs; None: as they are, as the
    objective asks for no logits there."""
    logit_specs = task(project.training.objective).output_probabilities(schema, project.training)
    if not any(logit_specs):
        return ()
    if not any(layer is not None and layer.makes_probabilities for layer in _types(project)):
        return tuple(Reading("") if one else None for one in logit_specs)
    context = Family(project, schema).use(project.main)
    if context is None:
        return ()
    ends = context.network.ports("Output")
    return tuple(reading(context, end, one) if one else None for end, one in zip(ends, logit_specs, strict=False))


def scales(project: Project, schema: Schema | None = None) -> tuple[tuple[str, str] | None, ...]:
    """Of each answer of the network as it is drawn its scale and its family; None where it is to be read as it is.
    Empty where all are."""
    pairs = tuple((str(one.scale), one.family) if one and not one.plain else None for one in readings(project, schema))
    return pairs if any(pairs) else ()


def _types(project: Project) -> Iterator[type[Layer] | None]:
    catalogue = registry()
    for network in project.networks.values():
        for node in network.nodes.values():
            yield catalogue.get(node.type)


def reading(context: Context, output: str, logits: LogitSpec) -> Reading:
    """How the answer at an Output of a main network is read by an objective that makes this of it."""
    edge = context.incoming[output].get("in")
    spec = context.spec(edge) if edge is not None else None
    if edge is None or spec is None or len(spec.shape) != logits.dims:
        return Reading("")  # another rule says so, where the data is known
    place = Place(context)
    found, source = place.behind(edge), context.layers.get(edge.source_node)
    shared = _readers(context, edge) > 1 or (source is not None and len(source.outputs()) > 1)
    if found is None:
        return Reading(edge.source_node, shared=shared, doubt=_doubt(place, edge))
    probabilities = found.says
    if probabilities.family == "softmax" and logits.family == "softmax" and probabilities.axis != logits.axis:
        name = context.label(edge.source_node)
        doubt = (
            f"{name} returns probabilities along axis {probabilities.axis}, but the classes are along axis {logits.axis}, "
            f"so its output is treated as logits; set its axis to {logits.axis}"
        )
        return Reading(edge.source_node, shared=shared, doubt=doubt, axis=logits.axis)
    removable = probabilities.removable and _readers(context, edge) == 1 and probabilities.family == logits.family
    return Reading(
        edge.source_node,
        OutputScale.LOG_PROBABILITIES if probabilities.log else OutputScale.PROBABILITIES,
        logits.family,
        found.steps if removable else (),
        shared,
        _mismatch(context, edge, probabilities, logits, spec),
    )


def _mismatch(context: Context, edge: Edge, probabilities: Probabilities, logits: LogitSpec, spec: TensorSpec) -> str:
    """Why probabilities are not those that the objective tells; empty where they are."""
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
class Found:
    """Probabilities, and the paths of the modules that made them what they are."""

    says: Probabilities
    steps: tuple[str, ...] = ()

    def fixed(self) -> Found:
        """The same where nothing can be left out."""
        return replace(self, says=replace(self.says, removable=False))


class Place:
    """A network in one place of the main one. `around` says what comes in at its Inputs."""

    def __init__(self, context: Context, prefix: str = "", around: Callable[[str], Found | None] | None = None) -> None:
        self.context, self.prefix, self.around = context, prefix, around
        self._known: dict[tuple[str, str], Found | None] = {}
        self._is_walked = False

    def behind(self, edge: Edge) -> Found | None:
        """What flows along an edge."""
        if not self._is_walked:
            self._is_walked = True
            # From the Inputs on: from the end, a chain of some hundred layers would be deeper than the stack.
            for node in self.context.order:
                for port in layer.outputs() if (layer := self.context.layers.get(node)) else ():
                    self._port(node, port.name)
        return self._port(edge.source_node, edge.source_port)

    def _port(self, node: str, port: str) -> Found | None:
        """What comes out of a port of a node."""
        key = (node, port)
        if key not in self._known:
            self._known[key] = None  # of a network that feeds itself, nothing is known
            self._known[key] = self._given_by(*key)
        return self._known[key]

    def _given_by(self, key: str, port: str) -> Found | None:
        layer = self.context.layers.get(key)
        if isinstance(layer, Input):
            return self.around(key) if self.around is not None else None
        if isinstance(layer, Subnetwork):
            return self._inside(key, layer, port)
        measured = self.context.measured.get(key)
        out = measured.outputs.get("out") if measured is not None and len(measured.outputs) == 1 else None
        if layer is None or out is None:
            return None
        return self._made(key, layer, out)

    def _made(self, key: str, layer: Layer, out: TensorSpec) -> Found | None:
        """What a layer makes of what comes in."""
        sources = {name: one for name, edge in self.context.incoming[key].items() if (one := self.behind(edge))}
        says = layer.probabilities({name: one.says for name, one in sources.items()}, self.context.specs(key), out)
        if says is None:
            return None
        if layer.makes_probabilities or not sources:
            return Found(says, (f"{self.prefix}{key}",))
        one = next(iter(sources.values()))
        steps = tuple(dict.fromkeys(step for other in sources.values() for step in other.steps))
        if says.log != one.says.log:
            steps = (*steps, f"{self.prefix}{key}")
        result = Found(says, steps)
        alone = all(_readers(self.context, edge) == 1 for edge in self.context.incoming[key].values())
        return result if alone else result.fixed()

    def _inside(self, key: str, layer: Subnetwork, port: str) -> Found | None:
        """What a network within this one gives at one of its ports."""
        inner, ends = self.context.inner.get(key), dict(layer.looks.outputs)
        edge = inner.incoming[ends[port]].get("in") if inner is not None and port in ends else None
        if inner is None or edge is None:
            return None
        entries = {node: name for name, node in layer.looks.inputs}

        def around(node: str) -> Found | None:
            outer = self.context.incoming[key].get(entries.get(node, ""))
            found = self.behind(outer) if outer is not None and layer.repeat == 1 else None
            return found if found is None or outer is None or _readers(self.context, outer) == 1 else found.fixed()

        found = Place(inner, f"{self.prefix}{key}.", around).behind(edge)
        if found is None or (layer.repeat == 1 and _readers(inner, edge) == 1):
            return found
        return found.fixed()


def _readers(context: Context, edge: Edge) -> int:
    """How many edges carry what this one does."""
    source = (edge.source_node, edge.source_port)
    return sum((other.source_node, other.source_port) == source for other in context.network.edges)


def _doubt(place: Place, edge: Edge) -> str:
    """Why an answer that is made of probabilities is not taken for any; empty where there is no doubt."""
    context, node = place.context, edge.source_node
    if isinstance(context.layers.get(node), Code):
        return ""
    while True:
        measured, incoming = context.measured.get(node), list(context.incoming[node].values())
        learns = measured is None or measured.parameters > 0
        if learns or len(incoming) != 1 or isinstance(context.layers.get(node), (Input, Subnetwork)):
            return ""
        if place.behind(incoming[0]) is not None:
            return (
                f"{context.label(node)} changes the probabilities of {context.label(incoming[0].source_node)}, so "
                "the output is treated as logits; remove it, or move it before them"
            )
        node = incoming[0].source_node
