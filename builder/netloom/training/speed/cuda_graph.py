"""The model as a CUDA graph: a GPU repeats the recorded operations of its forward and backward pass, so that it does
not wait for Python to start each of them.

https://docs.pytorch.org/docs/stable/notes/cuda.html#partial-network-capture
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.training.auxiliary_losses import AuxiliaryLosses
    from netloom.training.speed.precision import Precision


def recorded(
    model: nn.Module, inputs: Sequence[torch.Tensor], precision: Precision, auxiliary_losses: AuxiliaryLosses
) -> Callable[..., Any]:
    """Return the model, recorded as a CUDA graph for inputs (N, …) of these shapes. It computes what the model does.

    The model itself is called for inputs of other shapes, such as a smaller last batch, and in evaluation mode. Hooks
    of its modules do not run. The next call overwrites outputs, auxiliary losses and gradients, so that gradients
    cannot be accumulated over several calls. Recording runs the model a few times, which changes buffers.

    Raises:
        RuntimeError: the model cannot be recorded, such as because an operation waits for the GPU.
    """
    import torch
    from torch import nn

    class Recorded(nn.Module):  # `make_graphed_callables` replaces the `forward` of the module that it records
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: torch.Tensor) -> tuple[Any, tuple[torch.Tensor, ...]]:
            outputs = self.model(*values)
            return outputs, auxiliary_losses.take()

    examples = tuple(value.clone() for value in inputs)
    shapes = [value.shape for value in inputs]
    with _undisturbed(), precision.autocast(cache=False):  # a cached cast of a weight would not be repeated
        graph: Callable[..., Any] = torch.cuda.make_graphed_callables(Recorded(), examples, allow_unused_input=True)

    def call(*values: torch.Tensor) -> Any:
        if not model.training or [value.shape for value in values] != shapes:
            return model(*values)
        outputs, losses = graph(*values)
        auxiliary_losses.put(losses)
        return outputs

    return call


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Context of a recording. If it fails, the random number generator of the GPU is the one from before."""
    import torch

    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    before = generator.graphsafe_get_state()
    # A recording that fails leaves its generator unusable: "Offset increment outside graph capture".
    generator.graphsafe_set_state(generator.clone_state())
    # The gradients are computed on the stream of the recording and added on that of the run, which wait for each other.
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    gc.collect()  # freeing an earlier graph would end the recording
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    except BaseException:
        generator.graphsafe_set_state(before)
        raise
    finally:
        if was_enabled:
            gc.enable()
