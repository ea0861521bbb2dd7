"""The document in the making: nodes are added one by one and measured at once, so that shapes are known."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from netloom.compile.importers.imported_model import UnreadableModelError
from netloom.compile.importers.keras.config import LayerConfig
from netloom.compile.importers.keras.container import Weights, named
from netloom.compile.placement import place
from netloom.document import Edge, Network, Node, Project
from netloom.document.project import MAX_NETWORKS, MAX_NODES, is_identifier
from netloom.layers import TensorSpec
from netloom.layers.catalogue import parse
from netloom.layers.io import Input, Output
from netloom.layers.layer import ParameterError
from netloom.layers.subnetwork import Subnetwork, interface
from netloom.validation.measure import Weights as Weighted
from netloom.validation.measure import measure

MAX_PARAMETERS = 4 * 10**9
# The first axis of places in Keras's order and in PyTorch's.
CHANNELS = 1


@dataclass(frozen=True)
class Value:
    """A tensor on its way: where it comes from, its shape, and how its axes lie.

    `first` says that the channels, which Keras has last, are the first axis after the batch. `order` is set for a
    flattened image: place j holds the number that Keras has at place order[j].
    """

    node: str
    port: str
    spec: TensorSpec
    first: bool = False
    order: np.ndarray | None = None

    @property
    def rank(self) -> int:
        return len(self.spec.shape)

    @property
    def reference(self) -> str:
        return self.node if self.port == "out" else f"{self.node}.{self.port}"

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths after the batch axis, in PyTorch's order."""
        return tuple(self.spec.size(axis) for axis in range(1, self.rank))

    @property
    def keras(self) -> tuple[int, ...]:
        """The lengths after the batch axis, in Keras's order."""
        return (*self.shape[1:], self.shape[0]) if self.first else self.shape

    def axis(self, keras: int) -> int:
        """Where an axis of Keras lies, counted from 1 after the batch; 0 for the batch or none."""
        found = keras + self.rank if keras < 0 else keras
        if not 1 <= found < self.rank:
            return 0
        if not self.first:
            return found
        return CHANNELS if found == self.rank - 1 else found + 1


@dataclass
class Job:
    """What one import gathers over all its networks."""

    weights: bool
    networks: dict[str, Network] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    parameters: int = 0

    def remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    def name(self, wanted: str) -> str:
        """A free name for a network."""
        if len(self.networks) >= MAX_NETWORKS:
            raise UnreadableModelError(f"The model holds more than {MAX_NETWORKS} models, too many for one document.")
        name = free(wanted, {*self.networks, "main"})
        self.networks[name] = Network()
        return name


def identifier(text: str) -> str:
    """A name of Keras as an id."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower().encode("ascii", "ignore").decode()).strip("_")[:48] or "layer"
    name = name if name[0].isalpha() else f"layer_{name}"
    return name if is_identifier(name) else f"{name}_"


def free(wanted: str, taken: Any) -> str:
    """The name as an id, with a number where it is taken."""
    base = name = identifier(wanted)
    number = 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name


class Sheet:
    """One network in the making."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.weights: dict[str, torch.Tensor] = {}
        # What comes in and what goes out, by the ids of Inputs and Outputs.
        self.values: dict[str, Value] = {}
        self._turned: dict[tuple[str, bool], Value] = {}
        self._owner: LayerConfig | None = None
        # The nodes with parameters that each layer's first use made; further uses share theirs.
        self._made: dict[str, list[str]] = {}
        self._shared: list[str] | None = None
        self._shapes: dict[str, Weighted] = {}
        self._count = 0

    def begin(self, layer: LayerConfig) -> None:
        """From now on, nodes belong to a use of this layer."""
        self._owner, self._count = layer, 0
        again = layer.name in self._made
        self._shared = self._made[layer.name] if again else None
        self._made.setdefault(layer.name, [])

    @property
    def owner(self) -> LayerConfig:
        if self._owner is None:
            raise AssertionError("begin must be called first")
        return self._owner

    @property
    def learns(self) -> bool:
        """Whether any node has parameters."""
        return any(self._made.values())

    def add(self, kind: str, params: dict[str, Any], *given: Value, key: str | None = None, **rest: Any) -> Value:
        """One more node, fed by the given tensors; its first output. `rest` is passed on to the value."""
        return self.several(kind, params, *given, key=key, **rest)[0]

    def several(
        self, kind: str, params: dict[str, Any], *given: Value, key: str | None = None, **rest: Any
    ) -> list[Value]:
        """One more node; all its outputs."""
        if len(self.nodes) >= MAX_NODES:
            raise UnreadableModelError(f"The model needs more than {MAX_NODES:,} layers, too many for one document.")
        key = free(key or f"{self.owner.name}_{kind}", self.nodes)
        node = Node(id=key, type=kind, params=params)
        try:
            layer = parse(node)
        except ParameterError as error:
            raise self.owner.refuse(f"cannot be imported: {str(error).rstrip('.')}") from None
        if isinstance(layer, Subnetwork):
            layer = layer.with_interface(interface(self.job.networks[params["network"]]))
        ports = layer.inputs()
        if len(ports) != len(given):
            raise self.owner.refuse(f"received {len(given)} tensors, but {len(ports)} are expected")
        self.edges += [
            Edge(source=value.reference, target=f"{key}.{port.name}") for value, port in zip(given, ports, strict=True)
        ]
        self.nodes[key] = node
        if isinstance(layer, (Subnetwork, Output)):
            return []
        if isinstance(layer, Input):
            return [Value(key, "out", layer.spec(), **rest)]
        specs = tuple((port.name, value.spec) for value, port in zip(given, ports, strict=True))
        for port, value in zip(ports, given, strict=True):
            if "any" not in port.kinds and value.spec.kind not in port.kinds:
                raise self.owner.refuse(f"received {value.spec}, which {layer.title} does not accept")
        found = measure(layer, specs)
        if found.refusal:
            raise self.owner.refuse(f"cannot be imported: {found.refusal}")
        self.count(found.parameters)
        if found.parameters:
            if self.owner.config.get("trainable") is False:
                self.nodes[key] = node.model_copy(update={"frozen": True})
            self.tie(key, found.weights)
        return [Value(key, port.name, found.outputs[port.name], **rest) for port in layer.outputs()]

    def count(self, parameters: int) -> None:
        """Keep the whole within what can be held."""
        self.job.parameters += parameters
        if self.job.parameters > MAX_PARAMETERS:
            raise self.owner.refuse(f"makes the model larger than {MAX_PARAMETERS:,} parameters")

    def tie(self, key: str, weights: Weighted = ()) -> None:
        """Share a node's weights with the node that the layer's first use made in its place."""
        if self._shared is None:
            self._made[self.owner.name].append(key)
            self._shapes[key] = weights
            return
        if self._count >= len(self._shared) or self.nodes[self._shared[self._count]].type != self.nodes[key].type:
            raise self.owner.refuse("is used several times on tensors of different kinds, which cannot share weights")
        other = self.nodes[self._shared[self._count]]
        if other.params != self.nodes[key].params or self._shapes[other.id] != weights:
            raise self.owner.refuse("is used several times on tensors of different shapes, which cannot share weights")
        self.nodes[key] = self.nodes[key].model_copy(update={"shares": other.id})
        self._count += 1

    def keep(self, value: Value, **arrays: np.ndarray) -> None:
        """The weights of the node that gives a tensor, by name."""
        for name, array in arrays.items():
            self.weights[f"{value.node}.{name}"] = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

    def input(self, number: int, params: dict[str, Any]) -> Value:
        """The network's next Input."""
        first = params["kind"] in ("image", "volume")
        value = self.add("Input", params, key=f"input_{number}", first=first)
        self.values[value.node] = value
        return value

    def output(self, number: int, value: Value, name: str) -> None:
        """The network's next Output."""
        value = self.natural(value)
        key = free(f"output_{number}", self.nodes)
        taken = {str(node.params.get("name")) for node in self.nodes.values() if node.type == "Output"}
        self.several("Output", {"name": free(name, taken)}, value, key=key)
        self.values[key] = value

    def first(self, value: Value) -> Value:
        """With the channels first, as images and what convolutions take."""
        if value.first or value.rank < 3:
            return value
        return self._turn(value, (value.rank - 1, *range(1, value.rank - 1)), first=True)

    def last(self, value: Value) -> Value:
        """With the channels last, as Keras has them."""
        if not value.first:
            return value
        return self._turn(value, (*range(2, value.rank), 1), first=False)

    def natural(self, value: Value) -> Value:
        """As it passes between networks: channels first in images and volumes, last in sequences."""
        return self.first(value) if value.rank > 3 else self.last(value)

    def _turn(self, value: Value, order: tuple[int, ...], first: bool) -> Value:
        known = self._turned.get((value.reference, first))
        if known is None:
            known = self.add("Permute", {"order": list(order)}, value, first=first)
            self._turned[value.reference, first] = known
            self._turned[known.reference, not first] = value
        return known

    def network(self) -> Network:
        """What was drawn, laid out from top to bottom."""
        try:
            drawn = Network(nodes=self.nodes, edges=tuple(self.edges)).ordered(self.nodes, self.nodes)
        except ValidationError as error:
            raise UnreadableModelError(f"The model cannot be imported: {error.errors()[0]['msg']}.") from None
        return place(drawn)


@dataclass
class Use:
    """One use of a layer: what an entry of the catalogue of Keras gets to do its work."""

    sheet: Sheet
    layer: LayerConfig
    args: list[Any]
    kwargs: dict[str, Any]
    weights: Weights | None
    flat: bool = False  # all that a Flatten feeds can take the numbers in another order

    @property
    def values(self) -> list[Value]:
        """The tensors that come in, whether as a list or one by one."""
        return [value for arg in self.args for value in (arg if isinstance(arg, list) else [arg]) if is_value(value)]

    @property
    def value(self) -> Value:
        """The only tensor that comes in."""
        found = self.values
        if len(found) != 1:
            raise self.layer.refuse(f"received {len(found)} tensors, but the import supports one")
        return found[0]

    def arrays(self, *path: str, count: int | tuple[int, ...]) -> list[np.ndarray]:
        """The variables of the layer or of a part of it; nothing where the file has no weights."""
        if not self.sheet.job.weights:
            return []
        holder = self.weights.inside(*path) if self.weights is not None and path else self.weights
        number = 0 if holder is None else len(holder)
        counts = (count,) if isinstance(count, int) else count
        if number not in counts:
            raise self.layer.refuse(f"has {number} arrays of weights in the file, but {counts[0]} are expected")
        return [] if holder is None else holder.arrays()

    def add(self, kind: str, params: dict[str, Any], *given: Value, main: bool = False, **rest: Any) -> Value:
        """One more node; `main` is the one that bears the layer's name."""
        return self.sheet.add(kind, params, *given, key=self.layer.name if main else None, **rest)

    def like(self, kind: str, params: dict[str, Any], value: Value) -> Value:
        """One more node that leaves shape and order as they are."""
        made = self.add(kind, params, value, main=True, first=value.first)
        return replace(made, order=value.order)

    def keep(self, value: Value, **arrays: np.ndarray) -> None:
        self.sheet.keep(value, **arrays)

    def refuse(self, why: str) -> UnreadableModelError:
        return self.layer.refuse(why)

    def remark(self, text: str) -> None:
        self.sheet.job.remark(f"{named(self.layer.name)}: {text}")


def is_value(value: object) -> bool:
    return isinstance(value, Value)


def fits(project: Project, weights: dict[str, torch.Tensor]) -> None:
    """Raises `UnreadableModelError` where weights do not belong to the project's module, by name and shape."""
    from netloom.compile.module import module

    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in module(project).state_dict().items()}
    for name, tensor in weights.items():
        if expected.get(name) != tuple(tensor.shape):
            wanted = expected.get(name, "none")
            raise UnreadableModelError(
                f"The weights {named(name)} have the shape {tuple(tensor.shape)}, but the configuration needs "
                f"{wanted}; the configuration and the weights belong to different models."
            )
    missing = [name for name in expected if name not in weights and math.prod(expected[name])]
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        raise UnreadableModelError(
            f"The file has no weights for {named(missing[0])}; save the model again with model.save()."
        )
