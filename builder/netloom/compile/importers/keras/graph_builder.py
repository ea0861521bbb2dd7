"""The builder of a Keras import. Shapes are computed as nodes are added, because converters need them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from netloom.compile.importers.imported_model import UnreadableModelError, quoted
from netloom.compile.importers.keras.config import LayerConfig
from netloom.compile.importers.keras.container import Weights
from netloom.compile.importers.remarks import Remarks
from netloom.compile.placement import place
from netloom.document import Edge, Network, Node, Project
from netloom.document.field_types import is_identifier
from netloom.document.network import MAX_NODES
from netloom.document.project import MAX_NETWORKS
from netloom.layers import TensorSpec
from netloom.layers.catalogue import parse
from netloom.layers.io import Input, Output
from netloom.layers.layer import ParameterError
from netloom.layers.subnetwork import Subnetwork, interface
from netloom.validation.measure import Weights as Weighted
from netloom.validation.measure import measure

MAX_PARAMETERS = 4 * 10**9
# The axis of the channels in PyTorch's order.
CHANNELS = 1


@dataclass(frozen=True)
class KerasTensor:
    """A tensor of the model: its port, its shape, and the order of its axes.

    `is_channels_first` means that the channels, which are last in Keras, are the first axis after the batch. `order` is
    set for a flattened image: position j holds the value that Keras has at position order[j].
    """

    node: str
    port: str
    spec: TensorSpec
    is_channels_first: bool = False
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
    def keras_shape(self) -> tuple[int, ...]:
        """The lengths after the batch axis, in Keras's order."""
        return (*self.shape[1:], self.shape[0]) if self.is_channels_first else self.shape

    def axis(self, keras: int) -> int:
        """The port's axis for an axis of Keras, counted from 1 after the batch; 0 for the batch or an invalid axis."""
        axis = keras + self.rank if keras < 0 else keras
        if not 1 <= axis < self.rank:
            return 0
        if not self.is_channels_first:
            return axis
        return CHANNELS if axis == self.rank - 1 else axis + 1


@dataclass
class ImportState:
    """The state of one import that all its networks share."""

    weights: bool
    networks: dict[str, Network] = field(default_factory=dict)
    remarks: Remarks = field(default_factory=Remarks)
    parameters: int = 0

    def remark(self, text: str, part: str = "") -> None:
        """Add a remark, once; those on several layers are counted."""
        self.remarks.add(text, part)

    def name(self, layer_name: str) -> str:
        """Reserve an unused name for a network.

        Raises:
            UnreadableModelError: The model contains too many models.
        """
        if len(self.networks) >= MAX_NETWORKS:
            raise UnreadableModelError(f"The model holds more than {MAX_NETWORKS} models, too many for one document.")
        name = unused_id(layer_name, {*self.networks, "main"})
        self.networks[name] = Network()
        return name


def identifier(text: str) -> str:
    """A name in Keras as a valid id."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower().encode("ascii", "ignore").decode()).strip("_")[:48] or "layer"
    name = name if name[0].isalpha() else f"layer_{name}"
    return name if is_identifier(name) else f"{name}_"


def unused_id(requested_id: str, existing: Any) -> str:
    """The name as an id that does not exist yet, with a number if necessary."""
    base = candidate = identifier(requested_id)
    number = 1
    while candidate in existing:
        number += 1
        candidate = f"{base}_{number}"
    return candidate


class NetworkBuilder:
    """The nodes, edges and weights of one network."""

    def __init__(self, state: ImportState) -> None:
        self.state = state
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.weights: dict[str, torch.Tensor] = {}
        # The tensors of the Inputs and Outputs, by their ids
        self.values: dict[str, KerasTensor] = {}
        self._permuted: dict[tuple[str, bool], KerasTensor] = {}
        self._owner: LayerConfig | None = None
        # The nodes with parameters from the first call of each layer, with which further calls share weights
        self._nodes_of: dict[str, list[str]] = {}
        self._first_nodes: list[str] | None = None
        self._shapes: dict[str, Weighted] = {}
        self._node_count = 0

    def start_layer(self, layer: LayerConfig) -> None:
        """Start a call of this layer, to which nodes belong from now on."""
        self._owner, self._node_count = layer, 0
        is_reused = layer.name in self._nodes_of
        self._first_nodes = self._nodes_of[layer.name] if is_reused else None
        self._nodes_of.setdefault(layer.name, [])

    @property
    def owner(self) -> LayerConfig:
        """The layer whose nodes are being added."""
        if self._owner is None:
            raise AssertionError("start_layer must be called first")
        return self._owner

    @property
    def has_weights(self) -> bool:
        """Whether any node has parameters."""
        return any(self._nodes_of.values())

    def add(
        self, kind: str, params: dict[str, Any], *inputs: KerasTensor, key: str | None = None, **value_fields: Any
    ) -> KerasTensor:
        """Add a node with these inputs; returns its first output. `value_fields` are further fields of that tensor."""
        return self.add_node(kind, params, *inputs, key=key, **value_fields)[0]

    def add_node(
        self, kind: str, params: dict[str, Any], *inputs: KerasTensor, key: str | None = None, **value_fields: Any
    ) -> list[KerasTensor]:
        """Add a node; returns all its outputs, or an empty list for a Subnetwork or an Output.

        Raises:
            UnreadableModelError: The layer does not accept these parameters or inputs, or the model is too large.
        """
        if len(self.nodes) >= MAX_NODES:
            raise UnreadableModelError(f"The model needs more than {MAX_NODES:,} layers, too many for one document.")
        key = unused_id(key or f"{self.owner.name}_{kind}", self.nodes)
        node = Node(id=key, type=kind, params=params)
        try:
            layer = parse(node)
        except ParameterError as error:
            raise self.owner.refuse(f"cannot be imported: {str(error).rstrip('.')}") from None
        if isinstance(layer, Subnetwork):
            layer = layer.with_interface(interface(self.state.networks[params["network"]]))
        ports = layer.inputs()
        if len(ports) != len(inputs):
            raise self.owner.refuse(f"received {len(inputs)} tensors, but {len(ports)} are expected")
        self.edges += [
            Edge(source=value.reference, target=f"{key}.{port.name}") for value, port in zip(inputs, ports, strict=True)
        ]
        self.nodes[key] = node
        # The caller knows the outputs of a subnetwork from the tensors inside it.
        if isinstance(layer, (Subnetwork, Output)):
            return []
        if isinstance(layer, Input):
            return [KerasTensor(key, "out", layer.spec(), **value_fields)]
        specs = tuple((port.name, value.spec) for value, port in zip(inputs, ports, strict=True))
        for port, value in zip(ports, inputs, strict=True):
            if "any" not in port.kinds and value.spec.kind not in port.kinds:
                raise self.owner.refuse(f"received {value.spec}, which {layer.title} does not accept")
        measured = measure(layer, specs)
        if measured.refusal:
            raise self.owner.refuse(f"cannot be imported: {measured.refusal}")
        self.count(measured.parameters)
        if measured.parameters:
            if self.owner.config.get("trainable") is False:
                self.nodes[key] = node.model_copy(update={"frozen": True})
            self.share_weights(key, measured.weights)
        return [KerasTensor(key, port.name, measured.outputs[port.name], **value_fields) for port in layer.outputs()]

    def count(self, parameters: int) -> None:
        """Add to the total number of parameters.

        Raises:
            UnreadableModelError: The total exceeds the limit.
        """
        self.state.parameters += parameters
        if self.state.parameters > MAX_PARAMETERS:
            raise self.owner.refuse(f"makes the model larger than {MAX_PARAMETERS:,} parameters")

    def share_weights(self, key: str, weights: Weighted = ()) -> None:
        """Share a node's weights with the corresponding node of the layer's first call.

        Raises:
            UnreadableModelError: The two nodes cannot share weights, because the calls have inputs of different shapes.
        """
        if self._first_nodes is None:
            self._nodes_of[self.owner.name].append(key)
            self._shapes[key] = weights
            return
        if (
            self._node_count >= len(self._first_nodes)
            or self.nodes[self._first_nodes[self._node_count]].type != self.nodes[key].type
        ):
            raise self.owner.refuse("is used several times on tensors of different kinds, which cannot share weights")
        # Each call adds its nodes in the same order, so that the n-th node shares with the n-th of the first call.
        first_node = self.nodes[self._first_nodes[self._node_count]]
        if first_node.params != self.nodes[key].params or self._shapes[first_node.id] != weights:
            raise self.owner.refuse("is used several times on tensors of different shapes, which cannot share weights")
        self.nodes[key] = self.nodes[key].model_copy(update={"shares": first_node.id})
        self._node_count += 1

    def set_weights(self, value: KerasTensor, **arrays: np.ndarray) -> None:
        """Set the weights of the node that computes a tensor, by parameter name."""
        for name, array in arrays.items():
            self.weights[f"{value.node}.{name}"] = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

    def input(self, number: int, params: dict[str, Any]) -> KerasTensor:
        """Add the next Input."""
        first = params["kind"] in ("image", "volume")
        value = self.add("Input", params, key=f"input_{number}", is_channels_first=first)
        self.values[value.node] = value
        return value

    def output(self, number: int, value: KerasTensor, name: str) -> None:
        """Add the next Output."""
        value = self.native_layout(value)
        key = unused_id(f"output_{number}", self.nodes)
        output_names = {str(node.params.get("name")) for node in self.nodes.values() if node.type == "Output"}
        self.add_node("Output", {"name": unused_id(name, output_names)}, value, key=key)
        self.values[key] = value

    def channels_first(self, value: KerasTensor) -> KerasTensor:
        """The tensor with channels first, as convolutions need it; with fewer than three axes, it is unchanged."""
        if value.is_channels_first or value.rank < 3:
            return value
        return self._permute(value, (value.rank - 1, *range(1, value.rank - 1)), is_channels_first=True)

    def channels_last(self, value: KerasTensor) -> KerasTensor:
        """The tensor with channels last, as in Keras."""
        if not value.is_channels_first:
            return value
        return self._permute(value, (*range(2, value.rank), 1), is_channels_first=False)

    def native_layout(self, value: KerasTensor) -> KerasTensor:
        """The layout between networks: channels first in images and volumes, last in sequences."""
        return self.channels_first(value) if value.rank > 3 else self.channels_last(value)

    def _permute(self, value: KerasTensor, order: tuple[int, ...], is_channels_first: bool) -> KerasTensor:
        permuted = self._permuted.get((value.reference, is_channels_first))
        if permuted is None:
            permuted = self.add("Permute", {"order": list(order)}, value, is_channels_first=is_channels_first)
            self._permuted[value.reference, is_channels_first] = permuted
            # The inverse as well: permuting back gives the original tensor instead of a second Permute.
            self._permuted[permuted.reference, not is_channels_first] = value
        return permuted

    def network(self) -> Network:
        """The network, with positions for its nodes.

        Raises:
            UnreadableModelError: The nodes and edges are not a valid network.
        """
        try:
            network = Network(nodes=self.nodes, edges=tuple(self.edges)).ordered(self.nodes, self.nodes)
        except ValidationError as error:
            raise UnreadableModelError(f"The model cannot be imported: {error.errors()[0]['msg']}.") from None
        return place(network)


@dataclass
class LayerCall:
    """A call of a layer: the argument of the functions that convert Keras layers."""

    builder: NetworkBuilder
    layer: LayerConfig
    args: list[Any]
    kwargs: dict[str, Any]
    weights: Weights | None
    accepts_reordering: bool = False  # whether all readers of a Flatten can be adapted to another order of its values

    @property
    def values(self) -> list[KerasTensor]:
        """The input tensors, passed either as a list or separately."""
        return [value for arg in self.args for value in (arg if isinstance(arg, list) else [arg]) if is_tensor(value)]

    @property
    def value(self) -> KerasTensor:
        """The only input tensor.

        Raises:
            UnreadableModelError: There are several inputs.
        """
        values = self.values
        if len(values) != 1:
            raise self.layer.refuse(f"received {len(values)} tensors, but the import supports one")
        return values[0]

    def arrays(self, *path: str, count: int | tuple[int, ...]) -> list[np.ndarray]:
        """The variables of the layer or of a part of it; an empty list if the file has no weights.

        Raises:
            UnreadableModelError: The number of variables is not one of `count`.
        """
        if not self.builder.state.weights:
            return []
        holder = self.weights.group(*path) if self.weights is not None and path else self.weights
        number = 0 if holder is None else len(holder)
        counts = (count,) if isinstance(count, int) else count
        if number not in counts:
            raise self.layer.refuse(f"has {number} arrays of weights in the file, but {counts[0]} are expected")
        return [] if holder is None else holder.arrays()

    def add(
        self, kind: str, params: dict[str, Any], *inputs: KerasTensor, main: bool = False, **value_fields: Any
    ) -> KerasTensor:
        """Add a node; with `main`, it gets the name of the layer."""
        return self.builder.add(kind, params, *inputs, key=self.layer.name if main else None, **value_fields)

    def add_like(self, kind: str, params: dict[str, Any], value: KerasTensor) -> KerasTensor:
        """Add a node that keeps the shape and the order of values."""
        result = self.add(kind, params, value, main=True, is_channels_first=value.is_channels_first)
        return replace(result, order=value.order)

    def set_weights(self, value: KerasTensor, **arrays: np.ndarray) -> None:
        self.builder.set_weights(value, **arrays)

    def refuse(self, why: str) -> UnreadableModelError:
        """The error for this layer; `why` continues a sentence about it."""
        return self.layer.refuse(why)

    def remark(self, text: str) -> None:
        """Add a remark on this layer."""
        self.builder.state.remark(text, quoted(self.layer.name))


def is_tensor(value: object) -> bool:
    return isinstance(value, KerasTensor)


def check_weights(project: Project, weights: dict[str, torch.Tensor]) -> None:
    """Check that weights match the parameters of the project's module by name and shape.

    Raises:
        UnreadableModelError: They do not match.
    """
    from netloom.compile.module import module

    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in module(project).state_dict().items()}
    for name, tensor in weights.items():
        if expected.get(name) != tuple(tensor.shape):
            expected_shape = expected.get(name, "none")
            raise UnreadableModelError(
                f"The weights {quoted(name)} have the shape {tuple(tensor.shape)}, but the configuration needs "
                f"{expected_shape}; the configuration and the weights belong to different models."
            )
    missing = [name for name in expected if name not in weights and math.prod(expected[name])]
    # Keras has no such counter.
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        raise UnreadableModelError(
            f"The file has no weights for {quoted(missing[0])}; save the model again with model.save()."
        )
