"""Quantization to 8-bit integers by ONNX Runtime.

https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.compression.method import CompressionError, Method, Variant, as_onnx, with_metadata
from netloom.compression.quantizers import quiet
from netloom.training.streaming import take

if TYPE_CHECKING:
    import onnx

    from netloom.runs import TrainedRun

# Rows of the training part from which the ranges of activations are measured
CALIBRATION_ROWS = 256
# Without convolutions, which dynamic quantization makes slower: it measures the range of each input anew. ONNX Runtime
# has no GRU with 8-bit weights.
DYNAMIC_OPERATORS = ["MatMul", "Gemm", "Gather", "LSTM"]

CONVOLUTIONS = ["Conv", "ConvTranspose"]
# What keeps integers between two convolutions, so that no activation is converted to floats and back
BETWEEN_CONVOLUTIONS = ["Relu", "Clip", "MaxPool", "AveragePool"]


class DynamicQuantization(Method):
    """8-bit weights; the ranges of activations are measured anew for each input. For linear layers and
    LSTMs."""

    name = "dynamic_int8"
    title = "Dynamic int8"
    summary = "8-bit weights of linear layers, embeddings and LSTMs; activations are quantized for each input"
    order = 10

    def compress(self, trained: TrainedRun) -> Variant:
        original = as_onnx(trained)
        if not {node.op_type for node in original.graph.node}.intersection(DYNAMIC_OPERATORS):
            raise CompressionError("This network has no linear layers, embeddings or LSTMs; try static quantization.")
        content = _quantized(original, _quantize_dynamically)
        return self.variant(content, "8-bit weights per channel of linear layers, embeddings and LSTMs.")


class StaticQuantization(Method):
    """8-bit weights and activations, with ranges that are measured once on training rows. For convolutions."""

    name = "static_int8"
    title = "Static int8"
    summary = "8-bit weights and activations, with ranges from training rows"
    order = 20

    def compress(self, trained: TrainedRun) -> Variant:
        original, rows = as_onnx(trained), _calibration_rows(trained)
        content = _quantized(original, partial(_quantize_statically, _by_input(original, trained, rows)))
        note = f"8-bit weights per channel and activations; ranges measured on {len(rows)} training rows."
        return self.variant(content, note)


class MixedQuantization(Method):
    """Static quantization of convolutions and of what lies between them, and dynamic quantization of linear layers,
    embeddings and LSTMs, in one network that has both."""

    name = "mixed_int8"
    title = "Mixed int8"
    summary = "Static int8 for convolutions and dynamic int8 for the other layers, in networks with both"
    order = 21

    def compress(self, trained: TrainedRun) -> Variant:
        original, rows = as_onnx(trained), _calibration_rows(trained)
        kinds = {node.op_type for node in original.graph.node}
        if not (kinds.intersection(CONVOLUTIONS) and kinds.intersection(DYNAMIC_OPERATORS)):
            raise CompressionError("This network does not have convolutions beside linear layers, embeddings or LSTMs.")
        arrays = _by_input(original, trained, rows)

        def quantize(source: str, target: str) -> None:
            # The ranges of activations are those of the network with float weights, so static quantization is first.
            _quantize_statically(arrays, source, target, [*CONVOLUTIONS, *BETWEEN_CONVOLUTIONS])
            _quantize_dynamically(target, target)

        content = _quantized(original, quantize)
        note = (
            f"Static 8-bit convolutions with ranges measured on {len(rows)} training rows, and dynamic 8-bit linear "
            "layers, embeddings and LSTMs."
        )
        return self.variant(content, note)


def _quantize_dynamically(source: str, target: str) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]

    # ONNX Runtime has no product of several matrices at once with a scale for each of their channels.
    stacked = _products_of_stacks(source)
    options = {"op_types_to_quantize": DYNAMIC_OPERATORS, "weight_type": QuantType.QInt8}
    quantize_dynamic(source, target, per_channel=True, nodes_to_exclude=stacked, **options)
    if stacked:
        quantize_dynamic(target, target, per_channel=False, nodes_to_quantize=stacked, **options)


def _quantize_statically(
    arrays: dict[str, np.ndarray], source: str, target: str, operators: list[str] | None = None
) -> None:
    """Quantize a file with ranges from rows by input; by default, all operators that can be."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        source,
        target,
        _Rows(arrays),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=operators,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _calibration_rows(trained: TrainedRun) -> np.ndarray:
    """Return the training rows (N,) from which ranges are measured."""
    rows = trained.data.split["train"].numpy()
    return np.sort(np.random.default_rng(0).permutation(rows)[:CALIBRATION_ROWS])


def _by_input(original: onnx.ModelProto, trained: TrainedRun, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return encoded rows by the name of the input of an ONNX model."""
    inputs = take(trained.data, trained.fields, rows)
    names = [item.name for item in original.graph.input]
    return {name: inputs[field].numpy() for name, field in zip(names, trained.fields, strict=True)}


class _Rows:
    """Calibration rows in batches, in the interface of ONNX Runtime."""

    def __init__(self, arrays: dict[str, np.ndarray], batch: int = 32) -> None:
        count = len(next(iter(arrays.values())))
        self._batches = iter(
            {name: values[start : start + batch] for name, values in arrays.items()} for start in range(0, count, batch)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return self._batches


def _products_of_stacks(path: str) -> list[str]:
    """Return the names of the nodes that multiply by several constant matrices at once, such as those of experts."""
    import onnx

    graph = onnx.load(path).graph
    stacks = {item.name for item in graph.initializer if len(item.dims) > 2}
    return [node.name for node in graph.node if node.op_type == "MatMul" and node.input[1] in stacks]


def _quantized(original: Any, quantize: Callable[[str, str], None]) -> bytes:
    """Return an ONNX model after preparation and quantization of its file."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as folder, quiet():
        source, prepared, target = (str(Path(folder) / f"{name}.onnx") for name in ("source", "prepared", "target"))
        onnx.save(original, source)
        try:
            # Symbolic shape inference fails for some networks and is needed only where shapes are unknown.
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize(prepared, target)
        except Exception as error:  # the quantizer raises whatever its parts raise
            raise CompressionError(f"ONNX Runtime cannot quantize this network: {str(error).strip()[:200]}.") from error
        return with_metadata(onnx.load(target), original)
