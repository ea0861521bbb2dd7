"""Completes edits of a canvas with what the browser does not know: the networks of pasted layers, the field that a new
Input reads, and which parameters are numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netloom.data import Schema
from netloom.document import Project, to_json
from netloom.document.network import SUBNETWORK
from netloom.document.network_bundle import BundleError, extract, insert
from netloom.layers import registry
from netloom.layers.catalogue import numeric

Op = dict[str, Any]
Find = Callable[[str], Project | None]


def completed(message: Any, project: Project, schema: Schema | None, find: Find) -> Any:
    """A message of the canvas with complete edits. `find` returns another project by its id, or None.

    The operations are applied one after the other, so each is completed as if it were alone: a network that two of
    them bring is the same one.
    """
    if not isinstance(message, dict) or not isinstance(message.get("ops"), list):
        return message
    return {**message, "ops": [_completed(op, project, schema, find) for op in message["ops"]]}


def sources(message: Any) -> set[str]:
    """The ids of the projects from which a message pastes, to be loaded before it is completed."""
    ops = message.get("ops") if isinstance(message, dict) else None
    return {source for op in ops or () if (source := _source(_parts(op)))} if isinstance(ops, list) else set()


def _parts(op: Any) -> list[Any]:
    """The edits of an operation: those of a batch, or the operation itself."""
    if not isinstance(op, dict):
        return []
    edits = op.get("edits") if op.get("kind") == "batch" else None
    return edits if isinstance(edits, list) else [op]


def _source(parts: list[Any]) -> str | None:
    source = next((part["document"] for part in parts if isinstance(part, dict) and "document" in part), None)
    return source if isinstance(source, str) else None


def _completed(op: Any, project: Project, schema: Schema | None, find: Find) -> Any:
    if not isinstance(op, dict):
        return op
    if op.get("kind") in ("group", "unpack"):
        return {**op, "numbers": numeric(registry())}
    if op.get("kind") == "add":
        return _with_input_field(_with_networks(op, [op], project, find), project, schema)
    if op.get("kind") == "batch" and isinstance(op.get("edits"), list):
        return _with_networks(op, op["edits"], project, find)
    return op


def _with_networks(op: Op, parts: list[Any], project: Project, find: Find) -> Op:
    """A paste from another project, with the networks that its subnetwork nodes use."""
    source = _source(parts)
    origin = find(source) if source else None
    if origin is None:
        return op
    bundles, names = [], dict[str, str]()
    for name in dict.fromkeys(name for part in parts for name in _used_networks(part)):
        if name not in origin.networks:
            continue
        try:
            bundle = extract(origin, name)
            project, new_names = insert(project, bundle)
        except BundleError:
            continue  # an empty network, or no room: the check says at the layer that it is not there
        bundles.append({"kind": "insert_networks", "bundle": to_json(bundle)})
        names[name] = new_names[bundle.main]
    if not bundles:
        return op
    return {"kind": "batch", "edits": [*bundles, *(_renamed(part, names) for part in parts)], "seq": op.get("seq")}


def _nodes(edit: Any) -> list[Op]:
    nodes = edit.get("nodes") if isinstance(edit, dict) and edit.get("kind") == "add" else None
    return [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []


def _used_networks(edit: Any) -> list[str]:
    params = [node.get("params") for node in _nodes(edit) if node.get("type") == SUBNETWORK]
    names = [item.get("network") for item in params if isinstance(item, dict)]
    return [name for name in names if isinstance(name, str)]


def _renamed(edit: Any, names: dict[str, str]) -> Any:
    """The edit with the names that the networks have in this project."""
    if not _nodes(edit):
        return edit
    nodes = []
    for node in edit["nodes"]:
        is_subnetwork = (
            isinstance(node, dict) and node.get("type") == SUBNETWORK and isinstance(node.get("params"), dict)
        )
        name = node["params"].get("network") if is_subnetwork else None
        new_name = names.get(name) if isinstance(name, str) else None
        nodes.append({**node, "params": {**node["params"], "network": new_name}} if new_name else node)
    return {key: value for key, value in edit.items() if key not in ("document", "seq")} | {"nodes": nodes}


def _with_input_field(op: Op, project: Project, schema: Schema | None) -> Op:
    """An Input without parameters reads the first field of the data: it was added before its palette arrived."""
    bare = [node for node in _nodes(op) if node.get("type") == "Input" and not node.get("params")]
    if schema is None or not bare or op.get("network", project.main) != project.main:
        return op
    params = schema.inputs[0].parameters()
    nodes = [{**node, "params": params} if node in bare else node for node in op["nodes"]]
    return {**op, "nodes": nodes, "completed": True}
