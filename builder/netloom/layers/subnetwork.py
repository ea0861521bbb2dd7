"""The layer that uses another network of the project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field, PrivateAttr

from netloom.document import Network, Value
from netloom.layers.layer import Call, Example, Layer, Port, TensorSpec


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


class Subnetwork(Layer):
    """The network `network`, `repeat` times one after the other."""

    group = "Network"
    title = "Network"
    summary = "Uses another network of this project as a layer, optionally repeated"
    keywords = ("block", "module", "subgraph", "custom", "group", "repeat", "stack", "nested")

    network: str = Field("", max_length=64, description="Network to use")
    repeat: int = Field(1, ge=1, le=1_000, description="Number of repetitions in sequence")
    shared: bool = Field(False, description="Share weights across all repetitions")
    values: dict[str, Value] = Field(
        default_factory=dict, max_length=64, description="Values for the parameters of the network"
    )
    _interface: Interface = PrivateAttr(default_factory=Interface)

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

    def inputs(self) -> tuple[Port, ...]:
        titles = dict(self.interface.titles)
        return tuple(Port(name, doc=node, label=titles.get(node, "")) for name, node in self.interface.inputs)

    def outputs(self) -> tuple[Port, ...]:
        titles = dict(self.interface.titles)
        return tuple(Port(name, doc=node, label=titles.get(node, "")) for name, node in self.interface.outputs)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        raise ValueError("a subnetwork has no module of its own; netloom.compile builds its layers")

    def brief(self) -> str:
        return f"{self.network}{f' × {self.repeat}' if self.repeat > 1 else ''}{' shared' if self.shared else ''}"
