"""The exported part of a GAN: the generator. The discriminator is needed only in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netloom.compile import input_fields, module, output_nodes, source
from netloom.data.preparation.calibrated import Decoding
from netloom.document import DataChoice, Network, Project, Training
from netloom.document.network import SUBNETWORK

if TYPE_CHECKING:
    from torch import nn

    from netloom.data import Prepared
    from netloom.export.format import Trained
    from netloom.training import Objective


@dataclass(frozen=True)
class NetworkPart:
    """A part of a trained network, as a `Trained` for exporters."""

    project: Project
    source: str
    model: nn.Module
    data: Prepared
    objective: Objective
    fields: list[str]
    decoding: Decoding
    full_project: Project
    variant: str = ""


def generator(trained: Trained) -> NetworkPart | None:
    """Return the part of a GAN that computes its first output, the images; None if the network is not a GAN."""
    if not trained.objective.task.generates_input:
        return None
    project = _subproject(trained.project, output_nodes(trained.project)[0])
    text = source(project)
    model = module(text).eval()
    state = trained.model.state_dict()
    # Nodes keep their ids in the part, and weights their names.
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    return NetworkPart(
        project,
        text,
        model,
        trained.data,
        trained.objective,
        input_fields(project),
        trained.decoding,
        full_project(trained),
    )


def full_project(trained: Trained) -> Project:
    """Return the document of the whole network, also for a part of it."""
    return trained.full_project if isinstance(trained, NetworkPart) else trained.project


def _subproject(project: Project, output: str) -> Project:
    """Return the project with only the nodes and networks that one output needs."""
    main = project.main_network
    needed, waiting = set[str](), [output]
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting += [edge.source_node for edge in main.edges if edge.target_node == key]
            # The weights may belong to a layer that does not lead to this output.
            waiting += [shares] if (shares := main.nodes[key].shares) else []
    nodes = {key: node for key, node in main.nodes.items() if key in needed}
    edges = tuple(edge for edge in main.edges if edge.target_node in needed)
    networks = {**project.networks, project.main: main.with_nodes(nodes, edges)}
    used_names, pending = {project.main}, [project.main]
    while pending:
        inner = _inner_networks(networks[pending.pop()]) - used_names
        used_names |= inner
        pending += inner
    used_networks = {name: network for name, network in networks.items() if name in used_names}
    # The objective of a GAN requires a discriminator, which the part does not have.
    plain = {"training": Training(), "data": DataChoice()}
    return project.model_copy(update={"networks": used_networks, **plain})


def _inner_networks(network: Network) -> set[str]:
    return {str(node.params.get("network")) for node in network.nodes.values() if node.type == SUBNETWORK}
