"""Graphs inside of operators, which torch.export writes for `torch.no_grad` and `torch.autocast`, as operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netloom.compile.importers.imported_model import UnreadableModelError

_HIGHER_ORDER = "torch.ops.higher_order."
# The operators that only set a mode, with the index of the argument that is the graph
_MODES = {f"{_HIGHER_ORDER}wrap_with_set_grad_enabled": 1, f"{_HIGHER_ORDER}wrap_with_autocast": 4}
_AUTOCAST_ENABLED = 2
_MAX_DEPTH = 16


def inlined(graph: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """The graph with the nodes of nested graphs in place of the operators that contain them.

    Raises:
        UnreadableModelError: A nested graph computes in lower precision, or graphs are nested too deeply.
    """
    if not any(node["target"] in _MODES for node in graph["nodes"]):
        return graph
    if depth > _MAX_DEPTH:
        raise UnreadableModelError("The program is nested too deeply to be imported.")
    nodes: list[dict[str, Any]] = []
    tensor_values = dict(graph["tensor_values"])
    for node in graph["nodes"]:
        if node["target"] not in _MODES:
            nodes.append(node)
            continue
        inner = inlined(_nested_graph(node), depth + 1)
        name = _names(node, inner)
        nodes += [_renamed_node(item, name) for item in inner["nodes"]]
        # Outputs keep their names in the outer graph.
        nodes += [
            _alias(_renamed(source, name), output)
            for source, output in zip(inner["outputs"], _outputs(node), strict=True)
        ]
        tensor_values |= {name(key): meta for key, meta in inner["tensor_values"].items() if name(key) != key}
    return {**graph, "nodes": nodes, "tensor_values": tensor_values}


def _nested_graph(node: dict[str, Any]) -> dict[str, Any]:
    place = _MODES[node["target"]]
    if place > _AUTOCAST_ENABLED and node["inputs"][_AUTOCAST_ENABLED]["arg"].get("as_bool") is not False:
        raise UnreadableModelError(
            "The program computes a part in lower precision (torch.autocast); export it without autocast."
        )
    graph: dict[str, Any] = node["inputs"][place]["arg"]["as_graph"]["graph"]
    return graph


def _names(node: dict[str, Any], inner: dict[str, Any]) -> Callable[[str], str]:
    """The names of nested values in the outer graph: its inputs are arguments, all others get a prefix of their own."""
    arguments = [item["arg"] for item in node["inputs"][_MODES[node["target"]] + 1 :]]
    names = dict(zip(map(_name, inner["inputs"]), map(_name, arguments), strict=True))
    prefix = f"{node['name']}/"
    return lambda name: names[name] if name in names else prefix + name


def _name(argument: dict[str, Any]) -> str:
    ((_, body),) = argument.items()
    return str(body["name"] if "name" in body else body["as_name"])


def _outputs(node: dict[str, Any]) -> list[dict[str, Any]]:
    """The outputs of an operator one by one, also if they are written as one list."""
    outputs: list[dict[str, Any]] = []
    for output in node["outputs"]:
        outputs += [{"as_tensor": part} for part in output["as_tensors"]] if "as_tensors" in output else [output]
    return outputs


def _renamed_node(node: dict[str, Any], name: Callable[[str], str]) -> dict[str, Any]:
    inputs = [{**item, "arg": _renamed(item["arg"], name)} for item in node["inputs"]]
    return {**node, "name": name(node["name"]), "inputs": inputs, "outputs": _renamed(node["outputs"], name)}


def _renamed(value: Any, name: Callable[[str], str]) -> Any:
    """An argument with the names of all values in it replaced."""
    if isinstance(value, list):
        return [_renamed(part, name) for part in value]
    if isinstance(value, dict):
        return {
            key: name(part) if key in ("name", "as_name") and isinstance(part, str) else _renamed(part, name)
            for key, part in value.items()
        }
    return value


def _alias(source: dict[str, Any], output: dict[str, Any]) -> dict[str, Any]:
    inputs = [{"name": "self", "arg": source, "kind": 1}]
    return {"target": "torch.ops.aten.alias.default", "name": _name(output), "inputs": inputs, "outputs": [output]}
