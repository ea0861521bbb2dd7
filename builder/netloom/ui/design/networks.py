"""Which network of a project a browser tab shows, and which may stand in it."""

from __future__ import annotations

from dataclasses import replace

from netloom.document import Project
from netloom.editing.live import Live
from netloom.ui.design.canvas.messages import NetworkWish
from netloom.ui.design.state import DesignState, Shown
from netloom.ui.shell.state import Query


def shown(live: Live, wish: NetworkWish | None) -> Shown:
    """The network to show: the one that the canvas asked for last, or that the address names, or else main.

    The address bar keeps it, so that a reload finds it again. It is no part of the document: each tab has its own.
    """
    project, state = live.project, DesignState.current()
    found = state.shown.get(live.id) or Shown(Query.NETWORK.get() or project.main)
    # A wish for what is not there yet waits: the edit that makes it may still be on its way.
    if wish is not None and wish["number"] > (found.wish or 0) and wish["name"] in project.networks:
        found = Shown(wish["name"], wish["number"])
    if found.name not in project.networks:
        found = replace(found, name=current_name(project, found))
    found = replace(found, content=project.networks[found.name], beside=frozenset(project.networks))
    state.shown[live.id] = found
    addressed = found.name if found.name != project.main else None
    if Query.NETWORK.get() != addressed:
        Query.NETWORK.set(addressed)
    return found


def current_name(project: Project, found: Shown) -> str:
    new = project.networks.keys() - found.beside
    return next((name for name in new if project.networks[name] == found.content), project.main)


def users(project: Project) -> dict[str, set[str]]:
    """By network, the networks in which it stands as a node."""
    found: dict[str, set[str]] = {name: set() for name in project.networks}
    if len(found) > 1:
        for name in project.networks:
            for other in project.uses(name):
                found[other].add(name)
    return found


def standing(project: Project, name: str) -> list[str]:
    """The networks that may stand in a network: those in which it does not stand itself, directly or through others."""
    table, around, waiting = users(project), {name}, [name]
    while waiting:
        new = table[waiting.pop()] - around
        around |= new
        waiting += new
    return [other for other in project.networks if other not in around]
