"""An ONNX network that ends early for the rows of a batch whose first answer is confident enough.

The network has two outputs: the logits of its end, and those of a head on an earlier layer. In the conditional network,
the later layers run only on rows that did not exit; `If` skips them when all rows exit.
https://onnx.ai/onnx/operators/onnx__If.html
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netloom.compression.method import CompressionError

if TYPE_CHECKING:
    import torch

# Names of values in the file that no layer has; `LEAVES` is (N,) bool, true for the rows that left early.
PREFIX = "early_exit_"
LEAVES = f"{PREFIX}leaves"
ENTERED = "_late"
# How logits of the head become what the network returns
Scale = Literal["logits", "probabilities", "log_probabilities"]
FUNCTIONS: dict[Scale, str] = {"logits": "Identity", "probabilities": "Softmax", "log_probabilities": "LogSoftmax"}
# Two different numbers of rows; values whose first axis has both lengths belong to rows
SIZES = (3, 5)
NOTHING_FOLLOWS = "No operation follows this layer; choose an earlier one."


def with_early_exit(model: Any, threshold: float, example: Sequence[torch.Tensor], scale: Scale = "logits") -> Any:
    """Return the conditional network of an ONNX model with the outputs (N, C) of its end and of a head.

    A row leaves if the largest softmax probability of the head is at least `threshold`.

    Args:
        example: At least five rows of each input.
        scale: The scale of the output of the end; the logits of the head are converted to it.

    Raises:
        CompressionError: no operation follows the layer of the head, or the layers after it read values that do not
            have one entry per row.
    """
    model = copy.deepcopy(model)
    graph = model.graph
    end, head = (item.name for item in graph.output)
    trunk = _needed(graph.node, {head})
    before = _output_names(trunk)
    late_nodes = [node for node in _needed(graph.node, {end}) if not before.issuperset(node.output)]
    if end not in _output_names(late_nodes):
        raise CompressionError(NOTHING_FOLLOWS)
    late_nodes, late_inputs = _separated(model, trunk, late_nodes, example)
    nodes = [*trunk, *_decision(graph, head, threshold, scale)]
    nodes.append(_condition(graph, late_nodes, late_inputs, end))
    del graph.node[:], graph.output[1:]
    graph.node.extend(nodes)
    return model


def left_early(content: bytes, inputs: Sequence[torch.Tensor], threads: int = 1) -> np.ndarray:
    """Return which rows (N,) of some inputs (N, …) leave a conditional network early."""
    import onnx

    from netloom.export.onnx_network import OnnxNetwork

    model = onnx.load_from_string(content)
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(LEAVES, onnx.TensorProto.BOOL, ["batch"]))
    answer: np.ndarray = OnnxNetwork(model.SerializeToString(), threads).outputs(inputs)[0].numpy()
    return answer


def _needed(nodes: Iterable[Any], names: set[str]) -> list[Any]:
    """Return the nodes that some values depend on, in order."""
    needed, chosen = set(names), []
    for node in reversed(list(nodes)):
        if needed & set(node.output):
            chosen.append(node)
            needed |= read_names([node])
    return chosen[::-1]


def _output_names(nodes: Iterable[Any]) -> set[str]:
    """Return the names of the outputs of nodes."""
    return {name for node in nodes for name in node.output}


def read_names(nodes: Iterable[Any]) -> set[str]:
    """Return the names that nodes read, also in the graphs of conditions and loops."""
    names: set[str] = set()
    for node in nodes:
        names |= set(node.input)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= read_names(attribute.g.node) | {item.name for item in attribute.g.output}
    return names


def _separated(
    model: Any, trunk: list[Any], late_nodes: list[Any], example: Sequence[torch.Tensor]
) -> tuple[list[Any], list[str]]:
    """Return the nodes that only late rows need, and the values of rows that enter them.

    What depends on the number of rows, such as a shape, is computed again for the late rows.
    """
    makers = {name: node for node in trunk for name in node.output}
    inputs = {item.name for item in model.graph.input}
    varying = _varying(trunk, inputs)
    kinds: dict[str, bool] = {}
    while True:
        late_names = _output_names(late_nodes)
        crossing = sorted((read_names(late_nodes) - late_names) & varying)
        unknown = [name for name in crossing if name not in kinds]
        if not unknown:
            return [node for node in model.graph.node if late_names.issuperset(node.output)], crossing
        kinds.update(_have_rows(model, unknown, example))
        again = {name for name in crossing if not kinds[name]}
        if again - makers.keys():
            raise CompressionError("An input of this network does not have one entry for each row.")
        late_nodes = [*late_nodes, *(node for node in trunk if again & set(node.output))]


def _varying(nodes: Iterable[Any], inputs: set[str]) -> set[str]:
    """Return the values that depend on the inputs."""
    varying = set(inputs)
    for node in nodes:
        if read_names([node]) & varying:
            varying |= set(node.output)
    return varying


def _have_rows(model: Any, names: Sequence[str], example: Sequence[torch.Tensor]) -> dict[str, bool]:
    """Return for each value whether its first axis has the rows of the batch."""
    import onnx

    from netloom.export.onnx_network import OnnxNetwork

    watched = copy.deepcopy(model)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    network = OnnxNetwork(watched.SerializeToString(), 1)
    lengths = [[value.shape[:1] for value in network.outputs([item[:size] for item in example])] for size in SIZES]
    first, second = SIZES
    return {
        name: before == (first,) and after == (second,)
        for name, before, after in zip(names, lengths[0], lengths[1], strict=True)
    }


def _decision(graph: Any, head: str, threshold: float, scale: Scale) -> list[Any]:
    """Return the nodes that decide which rows stay, and that convert the logits of the head."""
    from onnx import TensorProto, helper

    _constant(graph, "threshold", np.array(threshold, np.float32))
    _constant(graph, "last_axis", np.array([-1], np.int64))
    _constant(graph, "first_axis", np.array([0], np.int64))

    def node(operator: str, reads: list[str], makes: str, **options: Any) -> Any:
        return helper.make_node(operator, reads, [makes], name=makes, **options)

    return [
        node("Softmax", [head], f"{PREFIX}probabilities", axis=-1),
        node(
            "ReduceMax", [f"{PREFIX}probabilities", f"{PREFIX}last_axis"], f"{PREFIX}confidence", keepdims=0
        ),
        node("GreaterOrEqual", [f"{PREFIX}confidence", f"{PREFIX}threshold"], LEAVES),
        node("Not", [LEAVES], f"{PREFIX}stays"),
        node("Cast", [f"{PREFIX}stays"], f"{PREFIX}staying", to=TensorProto.INT32),
        node("ReduceMax", [f"{PREFIX}staying", f"{PREFIX}first_axis"], f"{PREFIX}some", keepdims=0),
        node("Cast", [f"{PREFIX}some"], f"{PREFIX}goes_on", to=TensorProto.BOOL),
        node(FUNCTIONS[scale], [head], f"{PREFIX}answer", **({} if scale == "logits" else {"axis": -1})),
    ]  # fmt: skip


def _condition(graph: Any, late_nodes: Sequence[Any], late_inputs: Sequence[str], end: str) -> Any:
    """Return the node that computes the late rows, if there are any, and puts them among the others."""
    from onnx import helper

    # Values of a graph within a condition must not have the names of those around it.
    renamed = {name: f"{name}{ENTERED}" for name in sorted({*_output_names(late_nodes), *late_inputs})}
    rows, positions = f"{PREFIX}rows", f"{PREFIX}places"
    nodes = [
        helper.make_node("NonZero", [f"{PREFIX}stays"], [f"{PREFIX}indices"]),  # (1, K)
        helper.make_node("Squeeze", [f"{PREFIX}indices", f"{PREFIX}first_axis"], [rows]),  # (K,)
        helper.make_node("Unsqueeze", [rows, f"{PREFIX}last_axis"], [positions]),  # (K, 1)
        *(helper.make_node("Gather", [name, rows], [renamed[name]], axis=0) for name in late_inputs),
        *(_with_names(node, renamed) for node in late_nodes),
        helper.make_node("ScatterND", [f"{PREFIX}answer", positions, renamed[end]], [f"{PREFIX}merged"]),
    ]
    kind = next(item.type.tensor_type.elem_type for item in graph.output if item.name == end)
    late_graph = helper.make_graph(nodes, "late", [], [helper.make_tensor_value_info(f"{PREFIX}merged", kind, None)])
    off = helper.make_graph(
        [helper.make_node("Identity", [f"{PREFIX}answer"], [f"{PREFIX}only"])],
        "early",
        [],
        [helper.make_tensor_value_info(f"{PREFIX}only", kind, None)],
    )
    return helper.make_node(
        "If", [f"{PREFIX}goes_on"], [end], name=f"{PREFIX}if", then_branch=late_graph, else_branch=off
    )


def _with_names(node: Any, names: dict[str, str]) -> Any:
    """Return a node that reads and makes values of other names."""
    node = copy.deepcopy(node)
    _rename(node, names)
    return node


def _rename(node: Any, names: dict[str, str]) -> None:
    for values in (node.input, node.output):
        values[:] = [names.get(name, name) for name in values]
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                _rename(inner, names)
            for item in attribute.g.output:
                item.name = names.get(item.name, item.name)


def _constant(graph: Any, name: str, value: np.ndarray) -> None:
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(value, f"{PREFIX}{name}"))
