"""Edits that add, replace, rename and remove networks, and the registry of all edits of several networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netloom.document import network_bundle, ports
from netloom.document.composition import CompositionError, known_network, new_network_name, require_capacity
from netloom.document.group_edits import group, unpack
from netloom.document.network import SUBNETWORK, Network, Node
from netloom.document.parameter_edits import expose, rename_parameter
from netloom.document.project import Project


def create(project: Project, edit: Mapping[str, Any]) -> Project:
    """Add an empty network, or the one in the edit.

    Raises:
        CompositionError: The name is invalid or taken, or the project has too many networks.
    """
    name = new_network_name(project, edit["name"])
    require_capacity(project)
    network = Network.model_validate(edit.get("content", {})).ordered()
    return project.model_copy(update={"networks": {**project.networks, name: network}})


def replace(project: Project, edit: Mapping[str, Any]) -> Project:
    """Replace the content of a network and keep its name."""
    name = known_network(project, edit["name"])
    changed = project.with_network(name, Network.model_validate(edit["content"]).ordered())
    return ports.rewired(changed, name, project.networks[name])


def delete(project: Project, edit: Mapping[str, Any]) -> Project:
    """Remove a network.

    Raises:
        CompositionError: The network does not exist, is the main network, or is used by another network.
    """
    name = known_network(project, edit["name"])
    users = [network_name for network_name in project.networks if name in project.uses(network_name)]
    if name == project.main:
        raise CompositionError("The main network cannot be removed, because it is the one that is trained.")
    if users:
        raise CompositionError(f"The network {name} is used in {', '.join(users)}; remove it there first.")
    remaining = {network_name: network for network_name, network in project.networks.items() if network_name != name}
    return project.model_copy(update={"networks": remaining})


def rename(project: Project, edit: Mapping[str, Any]) -> Project:
    """Rename a network, also in the nodes that use it.

    Raises:
        CompositionError: The network does not exist, or the new name is invalid or taken.
    """
    old, new = known_network(project, edit["name"]), edit["to"]
    if old == new:
        return project
    new = new_network_name(project, new)

    def moved(node: Node) -> Node:
        if node.type != SUBNETWORK or node.params.get("network") != old:
            return node
        return node.model_copy(update={"params": {**node.params, "network": new}})

    networks = {
        new if name == old else name: network.model_copy(
            update={"nodes": {key: moved(node) for key, node in network.nodes.items()}}
        )
        for name, network in project.networks.items()
    }
    return project.model_copy(update={"networks": networks, "main": new if project.main == old else project.main})


def insert(project: Project, edit: Mapping[str, Any]) -> Project:
    """Insert the networks of a bundle, which is a document; see `netloom.document.network_bundle`.

    Raises:
        CompositionError: The networks of the bundle cannot be inserted.
    """
    try:
        return network_bundle.insert(project, Project.model_validate(edit["bundle"]))[0]
    except network_bundle.BundleError as error:
        raise CompositionError(str(error)) from None


COMPOSITIONS: dict[str, Callable[[Project, Mapping[str, Any]], Project]] = {
    "create_network": create,
    "replace_network": replace,
    "delete_network": delete,
    "rename_network": rename,
    "parameters": expose,
    "rename_parameter": rename_parameter,
    "insert_networks": insert,
    "group": group,
    "unpack": unpack,
}
