"""A network that another runtime computes, such as ONNX Runtime, as a module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from torch import nn

OutputsOf: TypeAlias = Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]


class ExternalNetwork(nn.Module):
    """The outputs of a file for batches, without gradients, parameters and inner layers.

    Args:
        outputs_of: Returns the outputs (N, …) for inputs (N, …) in the order of the arguments.
        content: The bytes of the file, which identify the network as weights do.
        is_row_by_row: Whether each row is computed by itself, because its outputs would depend on those beside it.
    """

    content: torch.Tensor

    def __init__(self, outputs_of: OutputsOf, content: bytes, *, is_row_by_row: bool = False) -> None:
        super().__init__()
        self._outputs_of = partial(_row_by_row, outputs_of) if is_row_by_row else outputs_of
        self.is_row_by_row = is_row_by_row
        self.register_buffer("content", torch.frombuffer(bytearray(content), dtype=torch.uint8))

    @property
    def file(self) -> bytes:
        """The bytes of the file."""
        return self.content.numpy().tobytes()

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Return the outputs (N, …), a tuple if there are several."""
        outputs = tuple(self._outputs_of([tensor.detach().cpu().contiguous() for tensor in inputs]))
        return outputs if len(outputs) > 1 else outputs[0]

    def __deepcopy__(self, memo: dict[int, Any]) -> ExternalNetwork:
        """Return a module with hooks and settings of its own and the same session, which has no state."""
        from netloom.core.torch_internals import shallow_copy

        return cast(ExternalNetwork, shallow_copy(self))


def _row_by_row(outputs_of: OutputsOf, batch: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    rows = [outputs_of([tensor[row : row + 1] for tensor in batch]) for row in range(len(batch[0]))]
    return [torch.cat(parts) for parts in zip(*rows, strict=True)] if rows else outputs_of(batch)
