"""A network for data with several inputs that no template reads: a branch for each input, joined before the output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Any

from netloom.data import FieldSpec, Schema
from netloom.data.noise_field import NOISE
from netloom.document import Edge, Network, Node, Project
from netloom.templates.catalogue import Template

CATEGORIES = "categories"  # beside the kinds of fields: tokens that are categories of columns, not words of a text
MIXED = "mixed"
Layers = tuple[tuple[str, Mapping[str, Any]], ...]
# The layers that turn an input of a kind into a vector
BRANCHES: dict[str, Layers] = {
    "image": (
        *(("Conv2d", {"filters": 16}), ("BatchNorm2d", {}), ("ReLU", {}), ("MaxPool2d", {})),
        *(("Conv2d", {"filters": 32}), ("BatchNorm2d", {}), ("ReLU", {}), ("GlobalMaxPool", {})),
    ),
    "vector": (("Linear", {"units": 32}), ("ReLU", {})),
    "tokens": (("Embedding", {"dim": 32}), ("LSTM", {"bidirectional": True, "hidden_size": 32}), ("Max", {})),
    CATEGORIES: (("CategoricalEmbedding", {"dim": 8}), ("Flatten", {})),
    "sequence": (("GRU", {"bidirectional": True, "hidden_size": 32}), ("Max", {})),
}
JOINED: Layers = (("Linear", {"units": 64}), ("ReLU", {}), ("Dropout", {"rate": 0.3}), ("Linear", {"units": 1}))
MAX_INPUTS = 16  # of the layer Concat
_ACROSS, _DOWN = 300.0, 110.0  # the distance of nodes on the canvas


@dataclass(frozen=True)
class MixedTemplate(Template):
    """A template that is made for the inputs of data."""

    inputs: tuple[FieldSpec, ...] = ()

    @property
    def project(self) -> Project:
        return Project(name=self.title, networks={"main": _network(self.inputs)})


def mixed_template(schema: Schema) -> MixedTemplate | None:
    """Return a template for the inputs and the target of data; None if an input or the target needs another one."""
    inputs = tuple(spec for spec in schema.inputs if spec.name != NOISE)  # noise says nothing about a target
    if not 2 <= len(inputs) <= MAX_INPUTS or not schema.target.type.is_row_level:
        return None
    if any(kind_of(spec) not in BRANCHES for spec in inputs):
        return None
    return MixedTemplate(MIXED, "A branch for each input", "", "", "", 0, inputs=inputs)


def kind_of(spec: FieldSpec) -> str:
    """Return the kind of a field, or that of its categories."""
    return CATEGORIES if spec.is_categories else spec.kind


@dataclass
class _Canvas:
    """The nodes and edges so far."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def add(self, kind: str, params: Mapping[str, Any], at: tuple[float, float], sources: Mapping[str, str]) -> str:
        """Add a node after the nodes `sources`, by its inputs ("" for the only one), and return its id."""
        key = next(key for key in _ids(kind) if key not in self.nodes)
        self.nodes[key] = Node(id=key, type=kind, params=dict(params), at=at)
        self.edges += [Edge(source=source, target=f"{key}.{port}" if port else key) for port, source in sources.items()]
        return key

    def chain(self, layers: Layers, last: str, x: float, row: int) -> str:
        """Add layers one below the other after the node `last`, and return the last one."""
        for step, (kind, params) in enumerate(layers, 1):
            last = self.add(kind, params, (x, (row + step) * _DOWN), {"": last})
        return last


def _ids(kind: str) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"{kind.lower()}_{number}"


def _network(inputs: tuple[FieldSpec, ...]) -> Network:
    canvas, ends = _Canvas(), list[str]()
    depth = max(len(BRANCHES[kind_of(spec)]) for spec in inputs)
    for index, spec in enumerate(inputs):
        layers, x = BRANCHES[kind_of(spec)], index * _ACROSS
        top = depth - len(layers)  # all branches end in one line
        ends.append(canvas.chain(layers, canvas.add("Input", spec.parameters(), (x, top * _DOWN), {}), x, top))
    x = (len(ends) - 1) * _ACROSS / 2
    ports = dict(zip(ascii_lowercase, ends, strict=False))
    joined = canvas.add("Concat", {"count": len(ends), "axis": 1}, (x, (depth + 1) * _DOWN), ports)
    last = canvas.chain(JOINED, joined, x, depth + 1)
    canvas.add("Output", {}, (x, (depth + len(JOINED) + 2) * _DOWN), {"": last})
    return Network(nodes=canvas.nodes, edges=tuple(canvas.edges))
