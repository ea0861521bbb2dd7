"""Bundles: documents with a network and every network that it uses, which can be inserted into a project."""

from __future__ import annotations

from itertools import count

from netloom.document.field_types import is_identifier, misnamed
from netloom.document.network import SUBNETWORK, Network, Node
from netloom.document.project import MAX_NETWORKS, Project

NAMES = "The name of a network must consist of lowercase letters, digits and _, such as residual_block."


class BundleError(ValueError):
    """A bundle that cannot be created or inserted; the message is one sentence for users."""


def extract(project: Project, name: str, called: str = "") -> Project:
    """A document with a network and all networks that it uses; the network is its main network, renamed to `called`.

    The bundle has no data, training settings or notes, which belong to the project and not to the network.

    Raises:
        BundleError: The network is missing, empty or contains itself, or the name is invalid or taken.
    """
    if name not in project.networks:
        raise BundleError(f"There is no network {name[:60]!r} in this project.")
    called = called or name
    if not is_identifier(called):
        raise BundleError(misnamed(called, NAMES))
    order = innermost_first(project, name)
    if called in order[:-1]:
        raise BundleError(f"{name} uses another network named {called}; choose another name.")
    networks = {called if key == name else key: _initialized(project, key) for key in reversed(order)}
    if not project.networks[name].nodes:
        raise BundleError(f"The network {name} is empty; add layers before you publish it.")
    return Project(name=called, networks=networks, main=called)


def insert(project: Project, bundle: Project) -> tuple[Project, dict[str, str]]:
    """The project with the networks of a bundle, and their names in the project.

    An equal network of the project is reused; if a different one has the name, a number is appended.

    Raises:
        BundleError: The network contains itself, or the project would have too many networks.
    """
    networks, names = dict(project.networks), dict[str, str]()
    for key in innermost_first(bundle, bundle.main):
        # Inner networks come first, so that their names in the project are known here.
        network = _renamed(bundle.networks[key], names)
        candidates = (name for number in count(1) if (name := key if number == 1 else f"{key[:56]}_{number}"))
        names[key] = next(
            name for name in candidates if name not in networks or (name != project.main and networks[name] == network)
        )
        networks[names[key]] = network
    if len(networks) > MAX_NETWORKS:
        raise BundleError(f"A project can have at most {MAX_NETWORKS} networks, but this would make {len(networks)}.")
    return project.model_copy(update={"networks": networks}), names


def exchange(project: Project, old: Project, new: Project) -> Project:
    """The project with the bundle `old` replaced by `new` under the same name.

    Networks that only the old bundle used are removed.

    Raises:
        BundleError: The networks of `old` were changed in the project, or there is no room for the new ones.
    """
    same, names = insert(project, old)
    if same != project:
        raise BundleError(f"The network {old.main} was changed in this project, so it is not updated.")
    grown, new_names = insert(project, new)
    target, networks = names[old.main], dict(grown.networks)
    networks[target] = networks[new_names[new.main]]
    if new_names[new.main] not in project.networks:
        del networks[new_names[new.main]]
    changed = grown.model_copy(update={"networks": networks})
    innermost_first(changed, target)  # raises BundleError if the new network uses the old one, whose name it has now
    # From the outside in: a network is unused only after the networks that use it are removed.
    for name in [names[key] for key in reversed(innermost_first(old, old.main)) if key != old.main]:
        if name != changed.main and not any(name in changed.uses(network_name) for network_name in changed.networks):
            changed = changed.model_copy(
                update={"networks": {key: network for key, network in changed.networks.items() if key != name}}
            )
    return changed


def innermost_first(project: Project, name: str) -> list[str]:
    """The networks that a network uses, directly or indirectly, in topological order, and the network itself last.

    Raises:
        BundleError: A network contains itself.
    """
    order: list[str] = []
    around: list[str] = [name]
    # A depth-first search without recursion; `around` is the path from `name` to the current network.
    waiting = [iter(project.uses(name))]
    while waiting:
        inner = next(waiting[-1], None)
        if inner is None:
            waiting.pop()
            order.append(around.pop())
        elif inner in around:
            raise BundleError(f"The network {inner} contains itself; remove it there first.")
        elif inner not in order:
            around.append(inner)
            waiting.append(iter(project.uses(inner)))
    return order


def _initialized(project: Project, name: str) -> Network:
    """The network with the initialization that it has in its project, which may be that of the main network."""
    network, initialization = project.networks[name], project.initialization(name)
    if initialization == network.initialization:
        return network
    return network.model_copy(update={"initialization": initialization})


def _renamed(network: Network, names: dict[str, str]) -> Network:
    """The network with the names of its subnetworks replaced."""

    def moved(node: Node) -> Node:
        inner = node.params.get("network")
        if node.type != SUBNETWORK or not isinstance(inner, str) or names.get(inner, inner) == inner:
            return node
        return node.model_copy(update={"params": {**node.params, "network": names[inner]}})

    nodes = {key: moved(node) for key, node in network.nodes.items()}
    return network.model_copy(update={"nodes": nodes})
