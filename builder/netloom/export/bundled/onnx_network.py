"""Loads the network of this folder: an ONNX file, which ONNX Runtime computes."""

from pathlib import Path
from typing import Any

import onnxruntime  # type: ignore[import-untyped]
import torch

FILE = "model.onnx"


class OnnxNetwork(torch.nn.Module):
    """The outputs of an ONNX file for batches."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 4  # errors are raised
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._names = [item.name for item in self._session.get_inputs()]
        # Activations that are quantized with the range of a batch give a row other outputs in each batch
        self._is_row_by_row = "row_by_row" in self._session.get_modelmeta().custom_metadata_map

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return the outputs (N, …) for inputs (N, …), a tuple if there are several."""
        size = 1 if self._is_row_by_row else len(inputs[0])
        batches = zip(*(torch.split(tensor, size) for tensor in inputs), strict=True)
        outputs = tuple(map(torch.cat, zip(*map(self._outputs, batches), strict=True)))
        return outputs if len(outputs) > 1 else outputs[0]

    def _outputs(self, batch: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        arrays = {name: tensor.numpy() for name, tensor in zip(self._names, batch, strict=True)}
        return [torch.from_numpy(output) for output in self._session.run(None, arrays)]


def load_network(folder: Path) -> torch.nn.Module:
    """Return the network of the ONNX file."""
    return OnnxNetwork(folder / FILE)
