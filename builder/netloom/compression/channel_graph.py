"""The channels of a network: which weights make, pass on and read each of them, and which have to go together.

Structured pruning removes channels with all of their weights. A residual addition, for example, joins a channel of one
layer with a channel of another one; both can only be removed together. https://arxiv.org/abs/2301.12900
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from netloom.compile.network_classes import contributing_nodes
from netloom.compression.probe import passed_channels
from netloom.layers.channels import Channels, PreservedChannels, TensorAxis, Width
from netloom.layers.subnetwork import Subnetwork

if TYPE_CHECKING:
    from torch import nn

    from netloom.validation import Context

# Why channels cannot be removed: their number is given from outside, a layer depends on all of them at once, or a node
# has to keep them, such as one with tied weights.
GIVEN, MIXED, FIXED = "given", "mixed", "kept"


@dataclass(frozen=True)
class Labels:
    """The channels of a tensor along an axis: their numbers in the graph; −1 for one that cannot be removed."""

    axis: int
    numbers: np.ndarray


@dataclass(frozen=True)
class Slice:
    """An axis of a weight of the model with the channel of each index, and whether the weight makes the channel or
    reads it; otherwise it passes the channel on."""

    tensor: str
    axis: int
    numbers: np.ndarray
    makes: bool = False
    reads: bool = False


@dataclass(frozen=True)
class Setting:
    """A parameter of a node that is the number of these channels, divided by `each`; `is_width` if the node makes them.
    `fixed` are parameters that are written with it."""

    network: str
    node: str
    parameter: str
    numbers: np.ndarray
    each: int = 1
    is_width: bool = False
    fixed: Mapping[str, int] = field(default_factory=dict)


Ports = dict[str, Labels | None]


class ChannelGraph:
    """The channels of a compiled network.

    Attributes:
        slices: The places of the channels in the weights.
        settings: The parameters of the document that count channels.
        labels: The channels of the first output of each module, by its path; None where no channel can be removed.
        where: The network and the node of each module, by its path.
    """

    def __init__(
        self, context: Context, model: nn.Module, fixed_nodes: frozenset[tuple[str, str]] = frozenset()
    ) -> None:
        """Follow the channels through a network. The `fixed_nodes`, by network and id, keep all channels."""
        self.slices: list[Slice] = []
        self.settings: list[Setting] = []
        self.labels: dict[str, Labels | None] = {}
        self.where: dict[str, tuple[str, str]] = {}
        self._model, self._fixed_nodes = model, fixed_nodes | frozenset(_nodes_of_loops(context))
        self._parents: list[int] = []
        self._reasons: dict[int, set[str]] = {}
        self._new_channels: dict[str, list[np.ndarray]] = {}
        self._arrived: dict[tuple[str, str], Labels | None] = {}
        outputs = self._network(context, "", {})
        for labels in outputs.values():
            self._keep(labels, GIVEN)

    def roots(self, numbers: np.ndarray) -> np.ndarray:
        """Return the representative of each channel among those that go together; −1 stays."""
        return np.array([number if number < 0 else self._root(number) for number in numbers.tolist()], dtype=np.int64)

    def reasons(self, root: int) -> set[str]:
        """Return why a channel cannot be removed, given by its representative."""
        return self._reasons.get(root, set())

    def _network(self, context: Context, path: str, inputs: Ports) -> Ports:
        """Follow the channels through a network with modules below `path`. Returns those at its Outputs by port."""
        tensors: dict[tuple[str, str], Labels | None] = {}
        for node, port in context.network.ports("Input").items():
            tensors[node, "out"] = inputs.get(port)
        for key in contributing_nodes(context):
            arriving = {
                port: tensors.get((edge.source_node, edge.source_port)) for port, edge in context.incoming[key].items()
            }
            for port, labels in self._node(context, key, f"{path}{key}", arriving).items():
                tensors[key, port] = labels
        edges = {port: context.incoming[node]["in"] for node, port in context.network.ports("Output").items()}
        return {port: tensors.get((edge.source_node, edge.source_port)) for port, edge in edges.items()}

    def _node(self, context: Context, key: str, path: str, inputs: Ports) -> Ports:
        layer, node_key = context.layers[key], (context.name, key)
        if isinstance(layer, Subnetwork):
            return self._repeated(context.inner[key], path, layer, inputs)
        specs, node = context.specs(key), context.network.nodes[key]
        self.where[path] = node_key
        ties = {user.shares for user in context.network.nodes.values() if user.shares}
        is_fixed = node_key in self._fixed_nodes or layer.own_code or bool(node.shares) or key in ties
        declared = None if is_fixed else layer.channels(specs)
        outputs: Ports
        if declared is not None:
            ranks = {port: len(spec.shape) for port, spec in specs.items()}
            outputs = {
                port: labels and Labels(labels.axis % len(context.measured[key].outputs[port].shape), labels.numbers)
                for port, labels in self._declared(node_key, path, declared, inputs, ranks).items()
            }
        elif is_fixed or self._model.get_submodule(path).state_dict():
            outputs = self._mixed(inputs, reason=FIXED if is_fixed else MIXED)
        else:
            outputs = self._probed(context, key, path, inputs)
        self.labels[path] = outputs.get(next(port.name for port in layer.outputs()))
        return outputs

    def _repeated(self, inner: Context, path: str, layer: Subnetwork, inputs: Ports) -> Ports:
        if layer.is_loop:
            # A state keeps its channels from step to step, and so do the layers that compute it.
            return self._mixed(inputs, [port.name for port in layer.outputs()], FIXED)
        if layer.repeat == 1:
            return self._network(inner, f"{path}.", inputs)
        outputs = inputs
        first = next(iter(inner.network.ports("Input").values()))
        for number in range(layer.repeat):
            outputs = self._network(inner, f"{path}.{0 if layer.shared else number}.", inputs)
            inputs = {**inputs, first: next(iter(outputs.values()))}
        return outputs

    def _declared(
        self, node_key: tuple[str, str], path: str, declared: Channels, inputs: Ports, ranks: Mapping[str, int]
    ) -> Ports:
        outputs: Ports = {}
        reads = {read.port: read for read in declared.reads}
        for port, labels in inputs.items():
            is_first = self._is_first(path, port, labels)
            read = reads.get(port)
            if labels is None:
                continue
            if read is not None and read.axis % ranks[port] == labels.axis:
                for weight in read.weights if is_first else ():
                    self._slice(path, weight, labels.numbers, reads=True)
            elif declared.preserved is not None and declared.preserved.axis in (None, labels.axis):
                outputs["out"] = self._passed(node_key, path, declared.preserved, labels, is_first)
            else:
                self._keep(labels, MIXED)
        earlier = self._new_channels.get(path)  # a module that is applied several times makes the same channels
        channel_numbers = earlier or [self._new(width.count) for width in declared.widths]
        for width, numbers in zip(declared.widths, channel_numbers, strict=True):
            repeated_numbers = np.tile(numbers, width.copies)
            outputs |= {port: Labels(axis, repeated_numbers) for port, axis in width.outputs.items()}
            if earlier is None:
                self._add_width(node_key, path, width, numbers)
        self._new_channels[path] = channel_numbers
        return outputs

    def _add_width(self, node_key: tuple[str, str], path: str, width: Width, numbers: np.ndarray) -> None:
        for weight in width.weights:
            self._slice(path, weight, numbers, makes=True)
        for weight in width.reads:
            self._slice(path, weight, numbers, reads=True)
        self.settings.append(Setting(*node_key, width.parameter, numbers, is_width=True, fixed=width.fixed))

    def _is_first(self, path: str, port: str, labels: Labels | None) -> bool:
        """Return whether no channels have arrived at an input of a module before. If the module is applied several
        times, its weights have to fit the channels of all times, so these go together."""
        if (path, port) not in self._arrived:
            self._arrived[path, port] = labels
            return True
        earlier = self._arrived[path, port]
        if earlier and labels and earlier.axis == labels.axis:
            self._join(earlier.numbers, labels.numbers)
        else:
            self._keep(earlier, MIXED)
            self._keep(labels, MIXED)
        return False

    def _passed(
        self, node_key: tuple[str, str], path: str, preserved: PreservedChannels, labels: Labels, is_first: bool
    ) -> Labels:
        numbers = labels.numbers
        for start in range(0, len(numbers), preserved.together):
            group = numbers[start : start + preserved.together]
            self._join(np.broadcast_to(group[:1], group.shape), group)
        multiplied = np.repeat(numbers, preserved.multiplier)
        for weight in preserved.weights if is_first else ():
            self._slice(path, weight, multiplied)
        for parameter, each in preserved.counts.items():
            self.settings.append(Setting(*node_key, parameter, numbers, each))
        return Labels(labels.axis, multiplied)

    def _probed(self, context: Context, key: str, path: str, inputs: Ports) -> Ports:
        """Follow the channels through a layer without weights."""
        names = [port.name for port in context.layers[key].outputs()]
        result: Ports = dict.fromkeys(names)
        for port, labels in inputs.items():
            if labels is None:
                continue
            specs = {name.name: context.specs(key)[name.name] for name in context.layers[key].inputs()}
            passed = passed_channels(self._model.get_submodule(path), specs, port, labels.axis)
            if passed is None or len(passed) != len(names):
                return self._mixed(inputs, names)
            if not any(passed):  # used in training only, or in a way that NaN does not show
                self._keep(labels, MIXED)
            for name, probed in zip(names, passed, strict=True):
                if probed is None:
                    continue
                numbers = np.where(probed.channels < 0, -2, labels.numbers[np.maximum(probed.channels, 0)])
                earlier = result[name]
                if earlier is None:
                    result[name] = Labels(probed.axis, numbers)
                elif earlier.axis == probed.axis:
                    result[name] = Labels(probed.axis, self._merged(earlier.numbers, numbers))
                else:
                    return self._mixed(inputs, names)
        # An index that depends on no channel stays.
        return {name: labels and Labels(labels.axis, np.maximum(labels.numbers, -1)) for name, labels in result.items()}

    def _merged(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Join the channels of two inputs of a layer; −2 is an index that does not depend on an input."""
        both = (first > -2) & (second > -2)
        self._join(first[both], second[both])
        return np.where(first > -2, first, second)

    def _mixed(self, inputs: Ports, names: Sequence[str] = (), reason: str = MIXED) -> Ports:
        for labels in inputs.values():
            self._keep(labels, reason)
        return dict.fromkeys(names)

    def _new(self, count: int) -> np.ndarray:
        start = len(self._parents)
        self._parents.extend(range(start, start + count))
        return np.arange(start, start + count)

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def _join(self, first: np.ndarray, second: np.ndarray) -> None:
        """Remove the channels of two tensors together. One that meets a channel that stays, stays as well."""
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            if min(a, b) < 0:
                if max(a, b) >= 0:
                    self._reasons.setdefault(self._root(max(a, b)), set()).add(GIVEN)
                continue
            root, other_root = self._root(a), self._root(b)
            if root != other_root:
                self._parents[other_root] = root
                if other_root in self._reasons:
                    self._reasons.setdefault(root, set()).update(self._reasons.pop(other_root))

    def _keep(self, labels: Labels | None, reason: str) -> None:
        for number in labels.numbers.tolist() if labels else ():
            if number >= 0:
                self._reasons.setdefault(self._root(number), set()).add(reason)

    def _slice(
        self, path: str, weight: TensorAxis, numbers: np.ndarray, makes: bool = False, reads: bool = False
    ) -> None:
        indices = np.tile(np.repeat(numbers, weight.block), weight.tiles)
        self.slices.append(Slice(f"{path}.{weight.tensor}", weight.axis, indices, makes, reads))


def _nodes_of_loops(context: Context, is_inside: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the network and node of each layer inside a network that is applied once for each step along an axis."""
    for key, layer in context.layers.items():
        if is_inside:
            yield context.name, key
        if key in context.inner:
            is_loop = isinstance(layer, Subnetwork) and layer.is_loop
            yield from _nodes_of_loops(context.inner[key], is_inside or is_loop)
