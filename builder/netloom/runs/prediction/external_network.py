"""A network that another runtime computes, such as ONNX Runtime, as a module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import nn

OutputsOf = Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]


class ExternalNetwork(nn.Module):
    """The outputs of a file for batches, without gradients, parameters and inner layers.

    Args:
        outputs_of: Returns the outputs (N, …) for inputs (N, …) in the order of the arguments.
        content: The bytes of the file, which identify the network as weights do.
    """

    content: torch.Tensor

    def __init__(self, outputs_of: OutputsOf, content: bytes) -> None:
        super().__init__()
        self._outputs_of = outputs_of
        self.register_buffer("content", torch.frombuffer(bytearray(content), dtype=torch.uint8))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Return the outputs (N, …), a tuple if there are several."""
        outputs = tuple(self._outputs_of([tensor.detach().cpu().contiguous() for tensor in inputs]))
        return outputs if len(outputs) > 1 else outputs[0]

    def __deepcopy__(self, memo: dict[int, Any]) -> ExternalNetwork:
        """Return a module with hooks and settings of its own and the same session, which has no state."""
        from netloom.core.torch_internals import shallow_copy

        return cast(ExternalNetwork, shallow_copy(self))
