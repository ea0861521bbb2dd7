"""The body of a loop over the steps of a sequence, which becomes a network of its own that is applied to each step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.array_views import memory_key
from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import (
    BATCH,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
)
from netloom.compile.importers.layer_graph.weight_tying import tie_weights
from netloom.compile.loop_class import CELL
from netloom.compile.placement import place
from netloom.document import Network
from netloom.document.ports import final_ports
from netloom.document.project import MAX_NETWORKS
from netloom.layers import TensorSpec
from netloom.layers.io import input_parameters

# The base of the names of the networks
_NAME = "step"


@dataclass
class LoopBody:
    """Collects the operators of one step in `step`, a builder of its own, with the Inputs that they read.

    A loop that this cannot express is refused with an UnsupportedOperatorError, so that the caller can unroll it.
    """

    outer: GraphBuilder
    is_reversed: bool = False
    batch: int = 0  # the number of rows with which the program was written; 0 if it is not known
    axis: int | None = None
    length: int = 0
    step: GraphBuilder = field(init=False)
    _sources: dict[str, Tensor] = field(default_factory=dict)
    _constant: list[str] = field(default_factory=list)
    _states: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.step = GraphBuilder(
            weight_tables=self.outer.weight_tables,
            untrained=self.outer.untrained,
            remarks=self.outer.remarks,
            networks=self.outer.networks,
        )

    def sequence(self, value: Value, axis: int) -> Tensor:
        """One step of a tensor along an axis of the file, as an Input of the body."""
        if not isinstance(value, Tensor) or value.boolean:
            raise UnsupportedOperatorError("its sequence is a constant")
        if len(value.spec.shape) < 3:  # a step needs an axis besides the batch
            value = self.outer.to_batch_first(value)
        removed = self.outer.single_axis(value, axis)
        length = value.size(removed)
        if (self.axis is not None and (self.axis, self.length) != (removed, length)) or length < 1:
            raise UnsupportedOperatorError("its sequences differ in the axis or in the number of their steps")
        self.axis, self.length = removed, length
        shape = tuple(size for position, size in enumerate(value.spec.shape) if position != removed)
        groups = [group for position, group in enumerate(value.axes) if position != axis]
        axes = tuple(tuple(inner - (inner > removed) for inner in group) for group in groups)
        return self._input("x", replace(value.spec, shape=shape), axes, value)

    def state(self, value: Value) -> Tensor:
        """A value that each step hands to the next one, as an Input of the body."""
        if isinstance(value, Constant):
            value = _with_batch(value, self.batch)
        spec, axes = (value.spec, value.axes) if isinstance(value, Tensor) else _batch_shape(value)
        if isinstance(value, Tensor) and value.boolean:
            raise UnsupportedOperatorError("its state is boolean")
        source = value if isinstance(value, Tensor) or not _is_zero(value) else None
        if isinstance(source, Constant):
            like = next(iter(self._sources.values()), None)
            if like is None:
                raise UnsupportedOperatorError("it has no sequence")
            source = self.outer.add_constant(source, _plain(like, len(axes)), source.weight)
            source = self._expanded(source, spec)
        tensor = self._input("state", spec, axes, source)
        self._states.append(tensor)
        return tensor

    def constant(self, value: Tensor) -> Tensor:
        """A tensor of the outer network that every step reads, as an Input of the body."""
        tensor = self._input("constant", value.spec, value.axes, value, value.boolean)
        self._constant.append(tensor.ref)
        return tensor

    def finish(self, following: Sequence[Value], results: Sequence[Value], to: Sequence[int], name: str) -> list[Value]:
        """Add the node of the loop to the outer network.

        Args:
            following: The next value of each state.
            results: The results of a step, which are stacked.
            to: The axis of the steps in each stacked result.

        Returns:
            The states after the last step, followed by the stacked results.
        """
        if self.axis is None:
            raise UnsupportedOperatorError("it has no sequence")
        outputs: dict[str, str] = {}  # the Output of each tensor
        for state, value in zip(self._states, following, strict=True):
            if not isinstance(value, Tensor) or (value.spec, value.axes) != (state.spec, state.axes):
                raise UnsupportedOperatorError("the shape of a state changes from step to step")
        for value in (*following, *results):
            if not isinstance(value, Tensor) or value.boolean or len(value.spec.shape) < self.axis:
                raise UnsupportedOperatorError("a result of its steps cannot be stacked")
            if value.ref not in outputs:
                outputs[value.ref] = self.step.add_node(
                    "Output", value, "output", name=f"output {len(outputs) + 1}" if outputs else "output"
                )
        network = self._network()
        finals, stacked = self._node(network, outputs, following, name)
        last: list[Value] = [Tensor(finals[state.ref], state.spec, state.axes) for state in self._states]
        for value, at in zip(results, to, strict=True):
            if not isinstance(value, Tensor):
                raise UnsupportedOperatorError("a result of its steps is a constant")
            groups = [tuple(inner + (inner >= self.axis) for inner in group) for group in value.axes]
            groups.insert(at % (len(groups) + 1), (self.axis,))
            last.append(Tensor(stacked[value.ref], self.outer.specs[stacked[value.ref]], tuple(groups)))
        return last

    def _input(
        self,
        name: str,
        spec: TensorSpec,
        axes: tuple[tuple[int, ...], ...],
        source: Tensor | None,
        boolean: bool = False,
    ) -> Tensor:
        """An Input of the body; `source` is the tensor of the outer network that it reads."""
        if len(spec.shape) < 2:
            raise UnsupportedOperatorError("a value of its steps has no axis besides the batch")
        params = input_parameters(spec)
        key = self.step.add_node("Input", None, name, **params)
        if self.step.specs[key] != spec:
            raise UnsupportedOperatorError("a value of its steps has a shape that no input has")
        if source is not None:
            self._sources[key] = source
        return Tensor(key, spec, axes, boolean)

    def _expanded(self, tensor: Tensor, spec: TensorSpec) -> Tensor:
        if tensor.spec != spec:
            raise UnsupportedOperatorError("its initial state has another shape than its states")
        return tensor

    def _network(self) -> Network:
        """The network of one step."""
        tie_weights(self.step)
        self.step.prune()
        refs = {ref.partition(".")[0] for ports in self.step.sources.values() for ref in ports.values()}
        if not refs <= set(self.step.nodes):
            raise UnsupportedOperatorError("a step reads a tensor from outside")
        nodes = self.step.nodes
        # Sequences and states first, so that the port `in` is a sequence
        inputs = sorted(nodes, key=lambda key: key in self._constant)
        network = Network(nodes=nodes, edges=tuple(self.step.edges)).ordered(inputs, nodes)
        network = place(network)
        if len(self.outer.networks) >= MAX_NETWORKS - 1:
            raise UnsupportedOperatorError(f"the project would have more than {MAX_NETWORKS} networks")
        return network

    def _node(
        self, network: Network, outputs: Mapping[str, str], following: Sequence[Value], name: str
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Add the node; returns the outputs of the last states and of all results, by tensor of the body."""
        title = next(text for number in count(1) if (text := f"{_NAME}_{number}") not in self.outer.networks)
        self.outer.networks[title] = network
        inputs, results = network.ports("Input"), network.ports("Output")
        refs = [value.ref for value in following if isinstance(value, Tensor)]
        states = {inputs[state.ref]: results[outputs[ref]] for state, ref in zip(self._states, refs, strict=True)}
        params: dict[str, Any] = {"network": title, "along": "axis", "axis": self.axis}
        optional: dict[str, Any] = {
            "direction": "reverse" if self.is_reversed else "",
            "states": states,
            "initial": {inputs[state.ref]: "input" for state in self._states if state.ref in self._sources},
            "constant": [inputs[ref] for ref in self._constant],
        }
        params |= {field_name: value for field_name, value in optional.items() if value}
        tensors = {inputs[ref]: tensor for ref, tensor in self._sources.items()}
        axis = self.axis or 1
        specs = {}
        for ref, output in outputs.items():
            shape = self.step.specs[ref].shape
            specs[results[output]] = replace(self.step.specs[ref], shape=(*shape[:axis], self.length, *shape[axis:]))
        ports = final_ports([port for port in inputs.values() if port in states], results.values())
        by_port = {inputs[state.ref]: state for state in self._states}
        specs |= {port: by_port[state].spec for state, port in ports.items()}
        key = self.outer.add_network_node(name, params, tensors, specs)
        self.outer.loop_weights[key] = {f"{CELL}.{part}": array for part, array in self.step.all_weights().items()}

        def ref_of(port: str) -> str:
            return key if port == "out" else f"{key}.{port}"

        finals = {state.ref: ref_of(ports[inputs[state.ref]]) for state in self._states}
        return finals, {ref: ref_of(results[output]) for ref, output in outputs.items()}


def report_loop_weights(builder: GraphBuilder) -> None:
    """Remark weights that a loop shares with other layers in the file."""
    owners = {memory_key(array): key for key, parts in builder.weights.items() for array in parts.values()}
    for key, parts in builder.loop_weights.items():
        for array in parts.values():
            other = owners.setdefault(memory_key(array), key)
            if other != key and array.size > 1:
                builder.remark(
                    "they share weights in the file; after the import, each has its own.", f"{key} and {other}"
                )


def _is_zero(value: Constant) -> bool:
    return not value.has_nonzero and not value.weight and value.learned_values is None


def _with_batch(value: Constant, batch: int) -> Constant:
    """A constant without a batch axis whose first axis repeats one row for each example, with a batch axis instead."""
    array = value.array
    if BATCH in value.shape or not array.ndim or array.shape[0] not in (1, batch) or not (array == array[:1]).all():
        return value
    return Constant(np.broadcast_to(array[:1], (BATCH, *array.shape[1:])), value.weight)


def _batch_shape(value: Constant) -> tuple[TensorSpec, tuple[tuple[int, ...], ...]]:
    """The port and the axes of a constant with a batch axis."""
    if value.array.dtype.kind not in "fiu" or list(value.shape).count(BATCH) != 1:
        raise UnsupportedOperatorError("its initial state has no batch axis")
    sizes: list[int] = []
    axes: list[tuple[int, ...]] = []
    for size in value.shape:
        if size == BATCH:
            axes.append((0,))
        else:
            sizes.append(size)
            axes.append((len(sizes),))
    if math.prod(sizes) < 1:
        raise UnsupportedOperatorError("its initial state is empty")
    return TensorSpec((None, *sizes), "float" if value.array.dtype.kind == "f" else "int"), tuple(axes)


def _plain(like: Tensor, rank: int) -> Tensor:
    """A tensor of the file of some rank with the batch first, beside which a constant is added."""
    axes = ((0,), *(((position,) if position < len(like.spec.shape) else ()) for position in range(1, rank)))
    return Tensor(like.ref, like.spec, axes)
