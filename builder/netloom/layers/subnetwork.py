"""The layer that uses another network of the project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.document import Network, Value
from netloom.document.field_types import MAX_PORT_LENGTH
from netloom.document.ports import final_ports
from netloom.layers.layer import Call, Example, Layer, Port, TensorSpec

# The value of a state before the first step: zeros, the tensor at an input of the node, or a trained parameter
Initial = Literal["zeros", "input", "learned"]
PortName = Annotated[str, Field(max_length=MAX_PORT_LENGTH)]


@dataclass(frozen=True)
class Interface:
    """The ports of a network, each with the id of its Input or Output.

    `titles` holds the titles of those nodes that have one, by id.
    """

    # The ports of a network with one Input and one Output, until `with_interface` sets others
    inputs: tuple[tuple[str, str], ...] = (("in", ""),)
    outputs: tuple[tuple[str, str], ...] = (("out", ""),)
    titles: tuple[tuple[str, str], ...] = ()


def interface(network: Network) -> Interface:
    """The ports of a network."""
    inputs, outputs = network.ports("Input"), network.ports("Output")
    return Interface(
        tuple((port, node) for node, port in inputs.items()),
        tuple((port, node) for node, port in outputs.items()),
        tuple((node, title) for node in (*inputs, *outputs) if (title := network.nodes[node].title)),
    )


def proposed_states(interface: Interface) -> dict[str, str]:
    """The states of a cell of the usual form: (x, states …) -> (results …, next states …).

    They are empty if there are more states than outputs.
    """
    states, outputs = [name for name, _ in interface.inputs[1:]], [name for name, _ in interface.outputs]
    if not states or len(states) > len(outputs):
        return {}
    return dict(zip(states, outputs[-len(states) :], strict=True))


class Subnetwork(Layer):
    """The network `network`, `repeat` times one after the other, or once for each step along an axis.

    Along an axis, each call receives one step of the inputs, such as x[:, t], and the `states`: inputs whose next
    value is an output of the call before, as h in h = cell(x[:, t], h). All calls share their weights. The results of
    all steps are stacked along the same axis. https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html
    """

    group = "Network"
    title = "Network"
    summary = "Uses another network of this project as a layer, optionally repeated"
    keywords = (
        *("block", "module", "subgraph", "custom", "group", "repeat", "stack", "nested"),
        *("loop", "scan", "recurrent", "cell", "rnn", "state", "time", "steps"),
    )

    network: str = Field("", max_length=64, description="Network to use")
    repeat: int = Field(1, ge=1, le=1_000, description="Number of repetitions in sequence")
    shared: bool = Field(False, description="Share weights across all repetitions")
    values: dict[str, Value] = Field(
        default_factory=dict, max_length=64, description="Values for the parameters of the network"
    )
    along: Literal["depth", "axis"] = Field(
        "depth",
        description="Repeat in depth, each repetition after the previous one, or once for each step along an axis of "
        "the inputs, as a recurrent cell",
    )
    axis: int = Field(1, ge=1, le=8, description="Along an axis: the axis of the steps; the batch axis is 0")
    direction: Literal["forward", "reverse"] = Field(
        "forward", description="Along an axis: from the first step to the last, or from the last to the first"
    )
    states: dict[PortName, PortName] = Field(
        default_factory=dict,
        max_length=64,
        description="Along an axis: the inputs that carry a state, each with the output that is its next value",
    )
    initial: dict[PortName, Initial] = Field(
        default_factory=dict,
        max_length=64,
        description="Along an axis: the initial value of each state: zeros (the default), an input of this node, or "
        "learned",
    )
    constant: Annotated[tuple[PortName, ...], Field(strict=False, max_length=64)] = Field(
        (), description="Along an axis: the inputs that every step receives as a whole"
    )
    _interface: Interface = PrivateAttr(default_factory=Interface)

    @model_validator(mode="after")
    def _repeats_one_way(self) -> Subnetwork:
        if self.is_loop and self.repeat > 1:
            rule = "must be 1 along an axis; for several recurrent layers, connect several of these nodes in sequence"
            raise FieldValueError("repeat", rule, self.repeat)
        return self

    @classmethod
    def examples(cls) -> list[Example]:
        """No examples, because a subnetwork depends on its project; see tests/validation/test_networks.py."""
        return []

    def with_interface(self, interface: Interface) -> Subnetwork:
        """A copy of the layer with the ports of the network that it uses."""
        # `catalogue.parse` shares this instance between equal nodes, possibly of other projects.
        copy = self.model_copy()
        copy._interface = interface
        return copy

    @property
    def interface(self) -> Interface:
        """The ports of the network that it uses."""
        return self._interface

    @property
    def is_loop(self) -> bool:
        """Whether the network is applied once for each step along an axis."""
        return self.along == "axis"

    @property
    def runs_once(self) -> bool:
        """Whether the network is applied once, without repetition."""
        return self.repeat == 1 and not self.is_loop

    @property
    def is_reversed(self) -> bool:
        """Whether the steps are processed from the last to the first."""
        return self.direction == "reverse"

    @property
    def sliced(self) -> tuple[str, ...]:
        """The inputs of the network that receive one step at a time; none if it is not applied along an axis."""
        names = (name for name, _ in self.interface.inputs) if self.is_loop else ()
        return tuple(name for name in names if name not in self.states and name not in self.constant)

    def initial_value(self, state: str) -> Initial:
        """The value of a state before the first step."""
        return self.initial.get(state, "zeros")

    @property
    def final_states(self) -> dict[str, str]:
        """The state of each output port that returns its value after the last step."""
        if not self.is_loop:
            return {}
        states = (name for name, _ in self.interface.inputs if name in self.states)
        ports = final_ports(states, (name for name, _ in self.interface.outputs))
        return {port: state for state, port in ports.items()}

    def inner_output(self, port: str) -> str | None:
        """The Output of the network whose values an output port returns; None if there is no such port."""
        return dict(self.interface.outputs).get(self.states.get(self.final_states.get(port, ""), port))

    def inputs(self) -> tuple[Port, ...]:
        titles = dict(self.interface.titles)
        return tuple(
            Port(name, doc=node, label=titles.get(node, ""))
            for name, node in self.interface.inputs
            if not self.is_loop or name not in self.states or self.initial_value(name) == "input"
        )

    def outputs(self) -> tuple[Port, ...]:
        titles, nodes = dict(self.interface.titles), dict(self.interface.inputs)
        results = tuple(Port(name, doc=node, label=titles.get(node, "")) for name, node in self.interface.outputs)
        finals = (
            Port(name, doc=nodes[state], label=f"final {titles[nodes[state]]}" if titles.get(nodes[state]) else "")
            for name, state in self.final_states.items()
        )
        return (*results, *finals)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        raise ValueError("a subnetwork has no module of its own; netloom.compile builds its layers")

    def brief(self) -> str:
        if self.is_loop:
            return f"{self.network} along axis {self.axis}{', reverse' if self.is_reversed else ''}"
        return f"{self.network}{f' × {self.repeat}' if self.repeat > 1 else ''}{' shared' if self.shared else ''}"
