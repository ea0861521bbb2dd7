"""The network of a project that a browser tab shows, and the networks that can be nodes in it."""

from __future__ import annotations

from dataclasses import replace

from netloom.document import Project
from netloom.editing.live import Live
from netloom.ui.design.canvas.messages import NetworkWish
from netloom.ui.design.state import DesignState, VisibleNetwork
from netloom.ui.shell.state import Query


def visible_network(live: Live, wish: NetworkWish | None) -> VisibleNetwork:
    """Return the network to show: the last one that the canvas requested, the one in the address, or main.

    It is stored in the address, so that it survives a reload, and not in the document, because each tab has its own.
    """
    project, state = live.project, DesignState.current()
    visible = state.shown.get(live.id) or VisibleNetwork(Query.NETWORK.get() or project.main)
    # A wish for a network that does not exist yet waits, as the edit that creates it may still be on its way.
    if wish is not None and wish["number"] > (visible.wish or 0) and wish["name"] in project.networks:
        visible = VisibleNetwork(wish["name"], wish["number"])
    if visible.name not in project.networks:
        visible = replace(visible, name=current_name(project, visible))
    visible = replace(visible, content=project.networks[visible.name], beside=frozenset(project.networks))
    state.shown[live.id] = visible
    addressed = visible.name if visible.name != project.main else None
    if Query.NETWORK.get() != addressed:
        Query.NETWORK.set(addressed)
    return visible


def current_name(project: Project, previous: VisibleNetwork) -> str:
    # A renamed network has a new name and the same content
    new = project.networks.keys() - previous.beside
    return next((name for name in new if project.networks[name] == previous.content), project.main)


def users(project: Project) -> dict[str, set[str]]:
    """Return for each network the networks in which it is a node."""
    users_of: dict[str, set[str]] = {name: set() for name in project.networks}
    if len(users_of) > 1:
        for name in project.networks:
            for used in project.uses(name):
                users_of[used].add(name)
    return users_of


def standing(project: Project, name: str) -> list[str]:
    """Return the networks that can be nodes in a network: those that do not contain it, directly or through others."""
    table, around, waiting = users(project), {name}, [name]
    while waiting:
        new = table[waiting.pop()] - around
        around |= new
        waiting += new
    return [network for network in project.networks if network not in around]
