"""The weights of a file whose matrices are packed into few bits, as float32 numbers of the network in PyTorch."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn

PRODUCT, LOOKUP = "MatMul", "Gather"


def unpacked(network: nn.Module, original: Any, packed: Any) -> nn.Module:
    """Return a copy of a network with the weights of a packed file.

    Args:
        network: The network in float32.
        original: Its ONNX model, whose matrix products and lookups have the outputs of those of `packed`.
        packed: The ONNX model with packed weights.
    """
    import torch
    from onnx import numpy_helper

    constants = {item.name: item for item in original.graph.initializer}
    written = {name: node for node in packed.graph.node for name in node.output}
    changed = copy.deepcopy(network)
    for node in original.graph.node:
        position = {PRODUCT: 1, LOOKUP: 0}.get(node.op_type)
        if position is None or node.input[position] not in constants or written.get(node.output[0]) == node:
            continue
        before = torch.from_numpy(numpy_helper.to_array(constants[node.input[position]]).copy())
        if before.dim() != 2 or not before.is_floating_point():
            continue
        after = torch.from_numpy(_matrix(packed, written, node, before.shape))
        with torch.no_grad():
            for parameter in changed.parameters():
                if parameter.shape == before.shape and torch.equal(parameter, before):
                    parameter.copy_(after)
                elif parameter.shape == before.T.shape and torch.equal(parameter, before.T):
                    parameter.copy_(after.T)
    return changed


def _matrix(packed: Any, written: dict[str, Any], node: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the matrix by which a part of a packed model multiplies, or whose rows it looks up.

    ONNX Runtime computes it from the identity or from all row numbers, so that formats of packed weights do not matter.
    """
    import onnxruntime  # type: ignore[import-untyped]
    from onnx import TensorProto, helper

    is_product = node.op_type == PRODUCT
    source = node.input[0 if is_product else 1]
    nodes: list[Any] = []
    waiting = [node.output[0]]
    while waiting:
        name = waiting.pop()
        if name != source and name in written and written[name] not in nodes:
            nodes.insert(0, written[name])
            waiting += written[name].input
    read = {name for part in nodes for name in part.input}
    numbers = np.eye(shape[0], dtype=np.float32) if is_product else np.arange(shape[0], dtype=np.int64)
    kind = TensorProto.FLOAT if is_product else TensorProto.INT64
    graph = helper.make_graph(
        nodes,
        "weights",
        [helper.make_tensor_value_info(source, kind, numbers.shape)],
        [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, shape)],
        [item for item in packed.graph.initializer if item.name in read],
    )
    model = helper.make_model(graph, opset_imports=packed.opset_import, ir_version=packed.ir_version)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    matrix: np.ndarray = session.run(None, {source: numbers})[0]
    return matrix
