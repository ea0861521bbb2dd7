"""Edits: pure functions from a project and an edit, as JSON, to a new project.

The canvas, the inspector, quick fixes and imports use them. Undo needs no inverse: the editor keeps the previous
project, which shares all unchanged parts with the new one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from netloom.core.field_errors import FieldError, summary
from netloom.document import ports
from netloom.document.composition import CompositionError
from netloom.document.data_choice import DataChoice
from netloom.document.files import wrong_fields
from netloom.document.initialization import Initialization
from netloom.document.network import MAX_EDGES, MAX_NODES, Edge, Network, Node, Note
from netloom.document.network_edits import COMPOSITIONS
from netloom.document.project import Project
from netloom.document.training_settings import Training

Edit = Mapping[str, Any]
MAX_BATCH = 5_000

_Placed = TypeVar("_Placed", Node, Note)
_Part = TypeVar("_Part", DataChoice, Training)


class EditError(ValueError):
    """An edit that does not apply; the message is one sentence for users. `errors` lists the invalid fields."""

    def __init__(self, message: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(message, errors)
        self.errors = errors

    def __str__(self) -> str:
        return str(self.args[0])


def updated(part: _Part, values: Mapping[str, Any], noun: str = "field") -> _Part:
    """A copy of a part of a document with other values, checked like one from a file.

    Raises:
        EditError: A value is invalid; `errors` lists the fields, and messages call a field `noun`.
    """
    try:
        return type(part).model_validate({**part.model_dump(mode="json"), **values})
    except ValidationError as error:
        errors = wrong_fields(error, noun)
        raise EditError(summary(errors), errors) from None


def apply(project: Project, edit: Edit) -> Project:
    """The project after `edit`.

    Raises:
        EditError: The edit is malformed, or refers to something that does not exist.
    """
    if not isinstance(edit, Mapping):
        raise EditError("An edit is a JSON object with a kind.")
    kind = edit.get("kind")
    try:
        # Raises UnicodeEncodeError for lone surrogates, with which the document could not be saved
        json.dumps(dict(edit), ensure_ascii=False).encode()
        if kind == "batch":
            return _batch(project, edit)
        if kind == "project":
            return _project(project, edit)
        if isinstance(kind, str) and kind in COMPOSITIONS:
            composed = COMPOSITIONS[kind](project, edit)
            # `model_copy` does not validate; a document that cannot be read again after it is saved would be lost.
            Project.model_validate(composed.model_dump(mode="json"))
            return composed
        change = _NETWORK_EDITS.get(kind) if isinstance(kind, str) else None
        if change is None:
            raise EditError(f"There is no edit of the kind {kind!r}.")
        name = edit.get("network", project.main)
        if not isinstance(name, str) or name not in project.networks:
            raise EditError(f"There is no network {name!r} in this project.")
        changed = change(project.networks[name], edit)
        return ports.rewired(project.with_network(name, changed), name, project.networks[name])
    except CompositionError as error:
        raise EditError(str(error)) from None
    except ValidationError as error:
        errors = wrong_fields(error)
        raise EditError(f"This edit is invalid: {summary(errors)}", errors) from None
    except UnicodeEncodeError:
        raise EditError("This edit contains invalid characters (lone surrogates).") from None
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EditError(f"The edit {kind!r} is incomplete or malformed ({type(error).__name__}: {error}).") from None


def _batch(project: Project, edit: Edit) -> Project:
    edits = edit["edits"]
    if len(edits) > MAX_BATCH:
        raise EditError(f"A batch can have at most {MAX_BATCH:,} edits.")
    for part in edits:
        if isinstance(part, Mapping) and part.get("kind") == "batch":
            raise EditError("A batch of edits cannot contain another batch.")
        project = apply(project, part)
    return project


def _project(project: Project, edit: Edit) -> Project:
    value = {key: edit[key] for key in ("name", "notes") if key in edit}
    for key in ("data", "training"):
        if key in edit:
            value[key] = {**getattr(project, key).model_dump(mode="json"), **edit[key]}
    # Validated with an empty network instead of all networks, which stay the same and can be large
    values = {**project.model_dump(exclude={"networks"}, mode="json"), **value, "networks": {project.main: {}}}
    checked = Project.model_validate(values)
    return checked.model_copy(update={"networks": project.networks})


def _add(network: Network, edit: Edit) -> Network:
    nodes = dict(network.nodes)
    for value in edit.get("nodes", ()):
        node = Node.model_validate(value)
        if node.id in nodes:
            raise EditError(f"There is already a node {node.id}.")
        if node.id in network.notes:
            raise EditError(f"There is already a note {node.id}.")
        nodes[node.id] = node
    network = _checked(network, nodes=nodes)
    for value in edit.get("edges", ()):
        network = _connect(network, value)
    return network


def _remove(network: Network, edit: Edit) -> Network:
    nodes, targets = set(edit.get("nodes", ())), set(edit.get("edges", ()))
    keep = {key: node for key, node in network.nodes.items() if key not in nodes}
    edges = tuple(
        edge
        for edge in network.edges
        if edge.target not in targets and edge.source_node in keep and edge.target_node in keep
    )
    return network.with_nodes(keep, edges)


def _order(network: Network, edit: Edit) -> Network:
    """Reorder the Inputs or Outputs, and with them the arguments or results of `forward`."""
    for name, kind in (("inputs", "Input"), ("outputs", "Output")):
        for key in edit.get(name, ()):
            if key not in network.nodes or network.nodes[key].type != kind:
                raise EditError(
                    f"{str(key)[:60]!r} is not an {kind} of this network; it may have been removed in another tab."
                )
    return network.ordered(edit.get("inputs"), edit.get("outputs"))


def _move(network: Network, edit: Edit) -> Network:
    nodes, notes = dict(network.nodes), dict(network.notes)
    for key, at in edit["at"].items():
        if key in nodes:
            nodes[key] = _changed(nodes[key], at=at)
        elif key in notes:
            notes[key] = _changed(notes[key], at=at)
        # Another tab may have removed the node in the meantime.
    return network.model_copy(update={"nodes": nodes, "notes": notes})


def _connect(network: Network, edit: Edit) -> Network:
    edge = Edge(source=edit["source"], target=edit["target"])
    for end in (edge.source_node, edge.target_node):
        if end not in network.nodes:
            raise EditError(f"There is no node {end} to connect.")
    # An input port accepts one edge: the new edge replaces the old one.
    edges = tuple(existing for existing in network.edges if existing.target != edge.target)
    if len(edges) >= MAX_EDGES:
        raise EditError(f"A network can have at most {MAX_EDGES:,} edges.")
    return network.model_copy(update={"edges": (*edges, edge)})


def _set(network: Network, edit: Edit) -> Network:
    node = _node(network, edit)
    return _with_node(network, _changed(node, params={**node.params, **edit["params"]}))


def _update(network: Network, edit: Edit) -> Network:
    node = _node(network, edit)
    update = {key: edit[key] for key in ("title", "frozen", "shares", "note", "initialization") if key in edit}
    return _with_node(network, _changed(node, **update))


def _initialize(network: Network, edit: Edit) -> Network:
    """Set the initialization of a network; null: the default of each layer."""
    value = edit["initialization"]
    initialization = None if value is None else Initialization.model_validate(value)
    return network.model_copy(update={"initialization": initialization})


def _note(network: Network, edit: Edit) -> Network:
    notes = dict(network.notes)
    if edit["note"] is None:
        notes.pop(edit["id"], None)
    else:
        notes[edit["id"]] = Note.model_validate(edit["note"])
        if edit["id"] in network.nodes:
            raise EditError(f"There is already a node {edit['id']}.")
    return _checked(network, notes=notes)


def _node(network: Network, edit: Edit) -> Node:
    node = network.nodes.get(edit["node"])
    if node is None:
        raise EditError(f"There is no node {edit['node']!r}; it may have been removed in another tab.")
    return node


def _with_node(network: Network, node: Node) -> Network:
    return network.model_copy(update={"nodes": {**network.nodes, node.id: node}})


def _changed(value: _Placed, **update: Any) -> _Placed:
    """A copy with other values of some fields, validated like one from a file."""
    values = {**value.model_dump(mode="json"), **update}
    return type(value).model_validate(values)


def _checked(network: Network, **update: Any) -> Network:
    """A copy with other nodes or notes. Validates the keys of notes and the numbers, but not each node again."""
    if len(update.get("nodes", ())) > MAX_NODES:
        Network(nodes=update["nodes"])  # raises the error
    if "notes" in update:
        Network(notes=update["notes"])
    if "nodes" in update:
        network = network.with_nodes(update.pop("nodes"))
    return network.model_copy(update=update)


_NETWORK_EDITS: dict[str, Callable[[Network, Edit], Network]] = {
    "add": _add,
    "remove": _remove,
    "move": _move,
    "connect": _connect,
    "order": _order,
    "set": _set,
    "update": _update,
    "initialize": _initialize,
    "note": _note,
}
