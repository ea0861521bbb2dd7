"""The network without changes in ONNX Runtime, which fuses layers and is often faster than PyTorch for single rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.compression.method import Method, Variant, as_onnx

if TYPE_CHECKING:
    from netloom.runs import TrainedRun


class OnnxRuntime(Method):
    """The same weights in float32, executed by ONNX Runtime."""

    name = "onnx"
    title = "ONNX Runtime"
    summary = "The same weights in float32, executed by ONNX Runtime"
    order = 0

    def compress(self, trained: TrainedRun) -> Variant:
        return self.variant(as_onnx(trained).SerializeToString(deterministic=True), "All weights in float32.")

    def in_pytorch(self, trained: TrainedRun, content: bytes) -> TrainedRun | None:
        return trained
