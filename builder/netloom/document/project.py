"""The document: a project holds named networks, a choice of data and the way to train.

Every class is immutable and maps to plain JSON. Equal documents are written as equal bytes, and no other part of
Netloom stores a second copy of their content.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from netloom.document.base_model import Frozen
from netloom.document.data_choice import DataChoice
from netloom.document.field_types import Identifier
from netloom.document.initialization import Initialization
from netloom.document.network import SUBNETWORK, Network
from netloom.document.training_settings import Training

FORMAT = 1
MAX_NETWORKS = 200


class Project(Frozen):
    """One document. The canvas shows it, code is generated from it, and a run stores a copy of it."""

    format: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=200)]
    networks: Annotated[dict[Identifier, Network], Field(min_length=1, max_length=MAX_NETWORKS)]
    main: str = "main"
    data: DataChoice = DataChoice()
    training: Training = Training()
    notes: Annotated[str, Field(max_length=100_000)] = ""

    @model_validator(mode="after")
    def _main_exists(self) -> Project:
        if self.main not in self.networks:
            raise ValueError(f"main names the network {self.main!r}, which is not in networks")
        return self

    @property
    def main_network(self) -> Network:
        return self.networks[self.main]

    def initialization(self, name: str, node: str | None = None) -> Initialization | None:
        """The initialization that applies to a network, or to one of its nodes; None: the default of each layer.

        The setting of the node comes first, then that of its network, then that of the main network.
        """
        network = self.networks[name]
        node_initialization = network.nodes[node].initialization if node is not None else None
        return node_initialization or network.initialization or self.main_network.initialization

    def uses(self, name: str) -> list[str]:
        """The networks that a network uses as nodes, each listed once."""
        names = (node.params.get("network") for node in self.networks[name].nodes.values() if node.type == SUBNETWORK)
        return list(
            dict.fromkeys(
                network_name
                for network_name in names
                if isinstance(network_name, str) and network_name in self.networks
            )
        )

    def with_network(self, name: str, network: Network) -> Project:
        """A copy of this project with one network replaced or added."""
        return self.model_copy(update={"networks": {**self.networks, name: network}})


def blank(name: str) -> Project:
    """A new project with an empty main network."""
    return Project(name=name, networks={"main": Network()})
