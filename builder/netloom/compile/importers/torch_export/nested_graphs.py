"""Graphs inside of operators, which torch.export writes for `no_grad`, `autocast` and `scan`, as operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netloom.compile.importers.imported_model import UnreadableModelError

_HIGHER_ORDER = "torch.ops.higher_order."
# The operators that only set a mode, with the index of the argument that is the graph
_SET_GRAD = f"{_HIGHER_ORDER}wrap_with_set_grad_enabled"
_MODES = {_SET_GRAD: 1, f"{_HIGHER_ORDER}wrap_with_autocast": 4}
_AUTOCAST_ENABLED = 2
# A graph that is repeated along the first axis of its sequences, with states that each step hands to the next one
_SCAN = f"{_HIGHER_ORDER}scan"
_CELLS = frozenset({"gru_cell", "lstm_cell", "rnn_tanh_cell", "rnn_relu_cell"})
_MAX_DEPTH, _MAX_STEPS = 16, 1_000
MAX_NODES = 20_000


def inlined(graph: dict[str, Any], limit: int = MAX_NODES, depth: int = 0, *, unrolls: bool = True) -> dict[str, Any]:
    """The graph with the nodes of nested graphs in place of the operators that contain them.

    Args:
        limit: The largest number of nodes, and of their outputs, of unrolled loops.
        unrolls: Whether each step of a loop becomes nodes of its own. Otherwise, the operator has the graph of one step
            as its "body", unless PyTorch has a recurrent layer for it.

    Raises:
        UnreadableModelError: A nested graph computes in lower precision or has a dynamic number of steps, graphs are
            nested too deeply, or unrolled loops have more than `limit` nodes or outputs.
    """
    if not any(node["target"] in (*_MODES, _SCAN) for node in graph["nodes"]):
        return graph
    if depth > _MAX_DEPTH:
        raise UnreadableModelError("The program is nested too deeply to be imported.")
    nodes: list[dict[str, Any]] = []
    tensor_values = dict(graph["tensor_values"])
    for node in graph["nodes"]:
        if node["target"] == _SCAN and not unrolls and not _has_cell(node):
            scan, values = _with_body(node, limit - len(nodes), depth)
            nodes.append(scan)
            tensor_values |= values
            continue
        if node["target"] == _SCAN:
            steps, values = _unrolled(node, tensor_values, limit - len(nodes), depth)
            nodes += steps
            tensor_values |= values
            continue
        if node["target"] not in _MODES:
            nodes.append(node)
            continue
        inner = inlined(_nested_graph(node), limit - len(nodes), depth + 1, unrolls=unrolls)
        name = _names(node, inner)
        nodes += [_renamed_node(item, name) for item in inner["nodes"]]
        # Outputs keep their names in the outer graph; what `no_grad` computes has no gradient there.
        nodes += [
            _alias(_renamed(source, name), output, detached=_stops_gradient(node))
            for source, output in zip(inner["outputs"], _outputs(node), strict=True)
        ]
        tensor_values |= {name(key): meta for key, meta in inner["tensor_values"].items() if name(key) != key}
    return {**graph, "nodes": nodes, "tensor_values": tensor_values}


def _nested_graph(node: dict[str, Any]) -> dict[str, Any]:
    graph_index = _MODES[node["target"]]
    if graph_index > _AUTOCAST_ENABLED and node["inputs"][_AUTOCAST_ENABLED]["arg"].get("as_bool") is not False:
        raise UnreadableModelError(
            "The program computes a part in lower precision (torch.autocast); export it without autocast."
        )
    graph: dict[str, Any] = node["inputs"][graph_index]["arg"]["as_graph"]["graph"]
    return graph


def _unrolled(
    node: dict[str, Any], tensor_values: dict[str, Any], limit: int, depth: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The nodes of all steps of a scan, with the same weights in each of them, and the shapes of their tensors."""
    graph, *arguments = (item["arg"] for item in node["inputs"])
    inner = inlined(graph["as_graph"]["graph"], limit, depth + 1)
    states, sequences, constants = (_references(argument) for argument in (*arguments, {"as_tensors": []})[:3])
    length = tensor_values[_name(sequences[0])]["sizes"][0].get("as_int", 0)
    if not 1 <= length <= _MAX_STEPS:
        raise UnreadableModelError(
            f"The program repeats a network along an axis (scan) whose length is {length or 'dynamic'}; export it with "
            f"1 to {_MAX_STEPS:,} steps."
        )
    # Shapes of values that no node computes would be repeated for each step without being read.
    computed = {_name(output) for item in inner["nodes"] for output in _outputs(item)}
    inner_shapes = {key: meta for key, meta in inner["tensor_values"].items() if key in computed}
    nodes, shapes, collected = list[dict[str, Any]](), dict[str, Any](), list[list[dict[str, Any]]]()
    for step in range(length):
        prefix = f"{node['name']}/{step}/"
        parts = [_selected(source, step, f"{prefix}{number}") for number, source in enumerate(sequences)]
        shapes |= {part["name"]: _without_first(tensor_values[_name(source)])
                   for part, source in zip(parts, sequences, strict=True)}  # fmt: skip
        arguments_of_step = [*states, *(part["outputs"][0] for part in parts), *constants]
        known = dict(zip(map(_name, inner["inputs"]), map(_name, arguments_of_step), strict=True))
        name = _renaming(known, prefix)
        nodes += [*parts, *(_renamed_node(item, name) for item in inner["nodes"])]
        shapes |= {name(key): meta for key, meta in inner_shapes.items()}
        if max(len(nodes), len(shapes)) > limit:
            raise UnreadableModelError(
                f"The unrolled loops (scan) of the program have more than {MAX_NODES:,} operators or tensors."
            )
        results = _renamed(inner["outputs"], name)
        states = results[: len(states)]
        collected.append(results[len(states) :])
    outputs = _outputs(node)
    nodes += [_alias(state, output) for state, output in zip(states, outputs, strict=False)]
    nodes += [
        _stacked(values, output)
        for values, output in zip(zip(*collected, strict=True), outputs[len(states) :], strict=True)
    ]
    return nodes, shapes


def _has_cell(node: dict[str, Any]) -> bool:
    """Whether a step has a recurrent cell: unrolled, it becomes a recurrent layer, which is faster."""
    graph = node["inputs"][0]["arg"]["as_graph"]["graph"]
    return any(str(item["target"]).removeprefix("torch.ops.aten.").split(".")[0] in _CELLS for item in graph["nodes"])


def _with_body(node: dict[str, Any], limit: int, depth: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A scan with the graph of one step as its "body", and the shapes of the tensors in it."""
    graph, *arguments = (item["arg"] for item in node["inputs"])
    inner = inlined(graph["as_graph"]["graph"], limit, depth + 1, unrolls=False)
    states, sequences, others = (_references(argument) for argument in (*arguments, {"as_tensors": []})[:3])
    name = _renaming({}, f"{node['name']}/step/")
    body = {
        "nodes": inner["nodes"],
        "inputs": list(map(_name, inner["inputs"])),
        "outputs": list(map(_name, inner["outputs"])),
    }
    parts = {"states": states, "sequences": sequences, "others": others}
    inputs = [
        {"name": key, "arg": {"as_tensors": [part["as_tensor"] for part in references]}}
        for key, references in parts.items()
    ]
    shapes = {name(key): meta for key, meta in inner["tensor_values"].items()}
    return {**node, "inputs": inputs, "body": _renamed_body(body, name)}, shapes


def _references(argument: dict[str, Any]) -> list[dict[str, Any]]:
    if "as_tensors" not in argument:
        raise UnreadableModelError(
            "The program repeats a network along an axis (scan) with values that are not tensors."
        )
    return [{"as_tensor": part} for part in argument["as_tensors"]]


def _renaming(known: dict[str, str], prefix: str) -> Callable[[str], str]:
    return lambda name: known[name] if name in known else prefix + name


def _selected(source: dict[str, Any], index: int, name: str) -> dict[str, Any]:
    return _node("select.int", {"self": source, "dim": {"as_int": 0}, "index": {"as_int": index}},
                 {"as_tensor": {"name": name}})  # fmt: skip


def _stacked(values: Sequence[dict[str, Any]], output: dict[str, Any]) -> dict[str, Any]:
    tensors = {"as_tensors": [value["as_tensor"] for value in values]}
    return _node("stack.default", {"tensors": tensors, "dim": {"as_int": 0}}, output)


def _without_first(meta: dict[str, Any]) -> dict[str, Any]:
    return {**meta, "sizes": meta["sizes"][1:], "strides": meta["strides"][1:]}


def _names(node: dict[str, Any], inner: dict[str, Any]) -> Callable[[str], str]:
    """The names of nested values in the outer graph: its inputs are arguments, all others get a prefix of their own."""
    arguments = [item["arg"] for item in node["inputs"][_MODES[node["target"]] + 1 :]]
    names = dict(zip(map(_name, inner["inputs"]), map(_name, arguments), strict=True))
    return _renaming(names, f"{node['name']}/")


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
    body = {"body": _renamed_body(node["body"], name)} if "body" in node else {}
    return {**node, "name": name(node["name"]), "inputs": inputs, "outputs": _renamed(node["outputs"], name), **body}


def _renamed_body(body: dict[str, Any], name: Callable[[str], str]) -> dict[str, Any]:
    """The graph of one step with the names of all values in it replaced."""
    return {
        "nodes": [_renamed_node(item, name) for item in body["nodes"]],
        "inputs": list(map(name, body["inputs"])),
        "outputs": list(map(name, body["outputs"])),
    }


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


def _stops_gradient(node: dict[str, Any]) -> bool:
    return node["target"] == _SET_GRAD and node["inputs"][0]["arg"].get("as_bool") is False


def _alias(source: dict[str, Any], output: dict[str, Any], *, detached: bool = False) -> dict[str, Any]:
    return _node("detach.default" if detached else "alias.default", {"self": source}, output)


def _node(kind: str, arguments: dict[str, Any], output: dict[str, Any]) -> dict[str, Any]:
    inputs = [{"name": name, "arg": value, "kind": 1} for name, value in arguments.items()]
    return {"target": f"torch.ops.aten.{kind}", "name": _name(output), "inputs": inputs, "outputs": [output]}
