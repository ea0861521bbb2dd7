"""Shared parts of edits of several networks: their error, and the names of networks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from netloom.document import network_bundle
from netloom.document.field_types import is_identifier, misnamed
from netloom.document.project import MAX_NETWORKS, Project


class CompositionError(ValueError):
    """An edit that does not apply; the message is one sentence for users."""


def known_network(project: Project, name: object) -> str:
    """The name, if the project has a network of this name.

    Raises:
        CompositionError: There is no such network.
    """
    if not isinstance(name, str) or name not in project.networks:
        raise CompositionError(f"There is no network {str(name)[:60]!r} in this project.")
    return name


def new_network_name(project: Project, name: object) -> str:
    """The name, if a new network can have it.

    Raises:
        CompositionError: The name is invalid or taken.
    """
    if not isinstance(name, str) or not is_identifier(name):
        raise CompositionError(misnamed(str(name), network_bundle.NAMES))
    if name in project.networks:
        raise CompositionError(f"There is already a network {name}.")
    return name


def require_capacity(project: Project) -> None:
    """Refuse a network beyond the maximum: the document could be saved, but not read again."""
    if len(project.networks) >= MAX_NETWORKS:
        raise CompositionError(f"A project can have at most {MAX_NETWORKS} networks; delete an unused one.")


def free_name(used: Mapping[str, object], base: str) -> str:
    # Shortened, so that the name with its number stays within the 64 characters of an identifier
    """The base with the first number that gives an unused name."""
    return next(name for number in count(1) if (name := f"{base[:56]}_{number}") not in used)
