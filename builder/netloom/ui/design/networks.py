"""Which network of a project a browser tab shows, and which may stand in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from netloom.document import Network, Project
from netloom.editing.live import Live


@dataclass(frozen=True)
class Shown:
    """The network that a tab shows; `wish` is the number of the wish of the canvas that it answers, if it does.

    `content` is what it was when it was last seen, among the networks `beside` it: by these it is found again after it
    was given another name.
    """

    name: str
    wish: int | None = None
    content: Network | None = None
    beside: frozenset[str] = frozenset()


def shown(live: Live, wanted: Any) -> Shown:
    """The network to show: the one that the canvas asked for last, or that the address names, or else main.

    The address bar keeps it, so that a reload finds it again. It is no part of the document: each tab has its own.
    """
    project, key = live.project, f"shown {live.id}"
    found: Shown = st.session_state.get(key) or Shown(str(st.query_params.get("network", project.main)))
    name, number = _wish(wanted)
    # A wish for what is not there yet waits: the edit that makes it may still be on its way.
    if number > (found.wish or 0) and name in project.networks:
        found = Shown(name, number)
    if found.name not in project.networks:
        found = replace(found, name=_renamed(project, found))
    found = replace(found, content=project.networks[found.name], beside=frozenset(project.networks))
    st.session_state[key] = found
    _keep_in_address(found.name if found.name != project.main else None)
    return found


def _wish(wanted: Any) -> tuple[str, int]:
    name, number = (wanted.get("name"), wanted.get("number")) if isinstance(wanted, dict) else (None, None)
    return (name, number) if isinstance(name, str) and isinstance(number, int) else ("", 0)


def _renamed(project: Project, found: Shown) -> str:
    new = project.networks.keys() - found.beside
    return next((name for name in new if project.networks[name] == found.content), project.main)


def _keep_in_address(name: str | None) -> None:
    if st.query_params.get("network") == name:
        return
    if name is None:
        del st.query_params["network"]
    else:
        st.query_params["network"] = name


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
