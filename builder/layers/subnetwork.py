"""Another network of the project, standing as one layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, PrivateAttr

from builder.graph import Network
from builder.layers.base import Call, Example, Layer, Port, TensorSpec
from builder.graph.expression import Number
from builder.text import natural


@dataclass(frozen=True)
class Interface:
    """How a network looks from outside: its Inputs and Outputs as ports, and which node each port stands for.

    The first Input is the port `in` and the first Output `out`, so that most edges need no port's name; the others are
    called by their node's id.
    """

    inputs: tuple[tuple[str, str], ...] = (("in", ""),)
    outputs: tuple[tuple[str, str], ...] = (("out", ""),)
    parameters: tuple[tuple[str, Number], ...] = ()


def interface(network: Network) -> Interface:
    """The ports and the exposed parameters of a network."""
    return Interface(
        _ports(network, "Input", "in"), _ports(network, "Output", "out"), tuple(sorted(network.parameters.items()))
    )


def _ports(network: Network, kind: str, first: str) -> tuple[tuple[str, str], ...]:
    keys = sorted((key for key, node in network.nodes.items() if node.type == kind), key=natural)
    return tuple((first if place == 0 else key[:32], key) for place, key in enumerate(keys))


Bounded = Annotated[int, Field(ge=-(10**9), le=10**9)] | Annotated[float, Field(ge=-1e9, le=1e9)]


class Subnetwork(Layer):
    """The network `network`, `repeat` times one after the other."""

    group = "Network"
    title = "Network"
    summary = "Another network of this project as one layer, as often as wanted"
    keywords = ("block", "module", "subgraph", "custom", "group", "repeat", "stack", "nested")

    network: str = Field("", max_length=64, description="The network that stands here")
    repeat: int = Field(1, ge=1, le=1_000, description="How many of it follow each other, each fed by the one before")
    shared: bool = Field(False, description="All repetitions use the same weights")
    values: dict[str, Bounded] = Field(
        default_factory=dict, max_length=64, description="Other values for the network's parameters"
    )
    _looks: Interface = PrivateAttr(default_factory=Interface)

    @classmethod
    def examples(cls) -> list[Example]:
        """None: what it does depends on the project around it; see tests/check/test_networks.py."""
        return []

    def looking(self, outside: Interface) -> Subnetwork:
        """The same with the ports of the network for which it stands."""
        copy = self.model_copy()
        copy._looks = outside
        return copy

    @property
    def looks(self) -> Interface:
        """The ports of the network for which it stands."""
        return self._looks

    def inputs(self) -> tuple[Port, ...]:
        return tuple(Port(name, doc=node) for name, node in self.looks.inputs)

    def outputs(self) -> tuple[Port, ...]:
        return tuple(Port(name, doc=node) for name, node in self.looks.outputs)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        raise ValueError("it is made of other layers; see builder.compile")

    def brief(self) -> str:
        return f"{self.network}{f' × {self.repeat}' if self.repeat > 1 else ''}{' shared' if self.shared else ''}"
