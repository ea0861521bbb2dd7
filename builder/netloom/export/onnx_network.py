"""The network of an ONNX file, computed by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from netloom.export.format import Batch


class OnnxNetwork:
    """An ONNX file in a session of ONNX Runtime, on the CPU.

    Args:
        content: the bytes of the file.
        threads: the number of threads; 0 for one per core.

    Raises:
        ImportError: ONNX Runtime is not installed.
        Exception: ONNX Runtime cannot load the file; its errors have no common base class.
    """

    def __init__(self, content: bytes, threads: int = 0) -> None:
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 4  # errors are raised as well
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._names = [item.name for item in self._session.get_inputs()]

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the file, such as the preprocessing of its inputs."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def outputs(self, batch: Sequence[torch.Tensor]) -> Batch:
        """Return the outputs (N, …) for inputs (N, …) in the order of the arguments.

        Raises:
            ValueError: there are more or fewer inputs than the network has.
        """
        import torch

        arrays = {name: values.numpy() for name, values in zip(self._names, batch, strict=True)}
        return tuple(map(torch.from_numpy, self._session.run(None, arrays)))


def joined_logits(outputs: Batch, scales: Sequence[tuple[str, str] | None]) -> torch.Tensor:
    """Return the outputs of a network as one tensor (N, …), with probabilities as logits; `scales` are those of
    `validation.output_scales`."""
    from netloom.compile.logit_network import to_logits
    from netloom.training.objectives.objective import joined

    return joined(to_logits(outputs if len(outputs) > 1 else outputs[0], tuple(scales)))
