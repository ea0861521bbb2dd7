"""Quantization of weights only: activations stay in float32, and ONNX Runtime multiplies by packed weights directly.

https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.compression.conditional_graph import read_names
from netloom.compression.method import CompressionError, Method, Variant, as_onnx, with_metadata
from netloom.compression.quantizers import quiet

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

# Weights that share a scale: neighbors along the axis that is summed over
BLOCK = 32
PRODUCT, LOOKUP = "MatMulNBits", "GatherBlockQuantized"
# The suffix of the names of 8-bit embeddings
EMBEDDING = "_int8"


class WeightOnlyInt8(Method):
    """8-bit weights: of linear layers with a scale for each block of 32, of embeddings with a scale for each row."""

    name = "weight_only_int8"
    title = "Weight-only int8"
    summary = "8-bit weights of linear layers and embeddings; activations stay in float32"
    order = 22
    bits: ClassVar[int] = 8

    def compress(self, trained: TrainedRun) -> Variant:
        original = as_onnx(trained)
        model = self.packed(with_matrix_products(original))
        products = sum(node.op_type == PRODUCT for node in model.graph.node)
        lookups = sum(node.op_type == LOOKUP or node.name.endswith(EMBEDDING) for node in model.graph.node)
        if not products + lookups:
            raise CompressionError("This network has no linear layers or embeddings whose weights could be packed.")
        counts = ((products, "linear layer"), (lookups, "embedding"))
        layers = " and ".join(f"{count} {name}{'s' * (count > 1)}" for count, name in counts if count)
        return self.variant(with_metadata(model, original), f"{self.bits}-bit weights of {layers}.")

    def in_pytorch(self, trained: TrainedRun, content: bytes) -> TrainedRun | None:
        import onnx

        from netloom.compression.unpacked_weights import unpacked

        original = with_matrix_products(as_onnx(trained))
        return replace(trained, model=unpacked(trained.model, original, onnx.load_from_string(content)))

    def packed(self, model: Any) -> Any:
        """Return a model with packed weights of linear layers and embeddings."""
        return quantized(with_int8_embeddings(model), self.bits, ("MatMul",))


class WeightOnlyInt4(WeightOnlyInt8):
    """4-bit weights of linear layers and embeddings, with a scale for each block of 32."""

    name = "weight_only_int4"
    title = "Weight-only int4"
    summary = "4-bit weights of linear layers and embeddings; activations stay in float32"
    order = 24
    bits = 4

    def packed(self, model: Any) -> Any:
        return quantized(model, self.bits, ("MatMul", "Gather"))


def quantized(model: Any, bits: int, operators: tuple[str, ...]) -> Any:
    """Return a model whose constant matrices are packed by ONNX Runtime.

    Raises:
        CompressionError: ONNX Runtime cannot pack them.
    """
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer  # type: ignore[import-untyped]

    with quiet():
        try:
            quantizer = MatMulNBitsQuantizer(
                model, bits=bits, block_size=BLOCK, is_symmetric=True, op_types_to_quantize=operators
            )
            quantizer.process()
        except Exception as error:  # the quantizer raises whatever its parts raise
            reason = str(error).strip()[:200]
            raise CompressionError(f"ONNX Runtime cannot pack the weights of this network: {reason}.") from error
    return quantizer.model.model


def with_int8_embeddings(model: Any) -> Any:
    """Return a copy of an ONNX model in which embeddings have 8-bit rows with a scale each; only the rows that are
    looked up become float32 again. ONNX Runtime packs embeddings to 4 bits only."""
    from onnx import TensorProto, helper, numpy_helper

    model = copy.deepcopy(model)
    tables = {item.name: item for item in model.graph.initializer}
    nodes: list[Any] = []
    for node in model.graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
        if table is None or table.data_type != TensorProto.FLOAT or len(table.dims) != 2 or axis:
            nodes.append(node)
            continue
        rows, name = numpy_helper.to_array(table), f"{node.output[0]}{EMBEDDING}"
        scales = np.maximum(np.abs(rows).max(1, keepdims=True) / 127, np.finfo(np.float32).tiny).astype(np.float32)
        values = np.round(rows / scales).astype(np.int8)
        model.graph.initializer.append(numpy_helper.from_array(values, f"{name}_rows"))
        model.graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scales"))
        nodes += [
            helper.make_node("Gather", [f"{name}_rows", node.input[1]], [f"{name}_row"], name=name),
            helper.make_node("Gather", [f"{name}_scales", node.input[1]], [f"{name}_scale"]),
            helper.make_node("Cast", [f"{name}_row"], [f"{name}_number"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_number", f"{name}_scale"], [node.output[0]]),
        ]
    return _with_nodes(model, nodes)


def with_matrix_products(model: Any) -> Any:
    """Return a copy of an ONNX model in which `Gemm` with a constant weight is a `MatMul` and an `Add`, because the
    quantizer packs weights of `MatMul` only."""
    from onnx import helper, numpy_helper

    model = copy.deepcopy(model)
    weights = {item.name: item for item in model.graph.initializer}
    nodes: list[Any] = []
    for node in model.graph.node:
        options = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        is_plain = node.op_type == "Gemm" and node.input[1] in weights and not options.get("transA")
        if not is_plain or options.get("alpha", 1.0) != 1.0 or options.get("beta", 1.0) != 1.0:
            nodes.append(node)
            continue
        values, name = numpy_helper.to_array(weights[node.input[1]]), f"{node.output[0]}_weight"
        values = values.T.copy() if options.get("transB") else values
        model.graph.initializer.append(numpy_helper.from_array(values, name))
        has_bias = len(node.input) > 2
        product = f"{node.output[0]}_product" if has_bias else node.output[0]
        nodes.append(helper.make_node("MatMul", [node.input[0], name], [product], name=f"{node.name}_product"))
        if has_bias:
            nodes.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]], name=f"{node.name}_sum"))
    return _with_nodes(model, nodes)


def _with_nodes(model: Any, nodes: list[Any]) -> Any:
    """Return the model with other nodes, and without the initializers that none of them reads."""
    used = {item.name for item in model.graph.output} | read_names(nodes)
    initializers = [item for item in model.graph.initializer if item.name in used]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(initializers)
    return model
