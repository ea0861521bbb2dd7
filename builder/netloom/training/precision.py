"""Numbers of how many bits a step computes with. Weights stay float32, and so do the loss and all measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from netloom.training.optimizers import ChainedOptimizer, optimizers_of

if TYPE_CHECKING:
    import torch


class Precision:
    """How a forward pass, its gradient and the step are taken: `name` is float32, bf16 or fp16, as a document says.

    fp16 has few exponents, so that the loss is scaled up before the gradient and the gradient down before the step.

    Raises:
        ValueError: fp16 was asked for without a GPU.
    """

    def __init__(self, name: str, device: str) -> None:
        import torch

        self.mixed = name != "float32"
        self._kind = device.partition(":")[0]
        self._type = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name)
        self._scaler: torch.amp.GradScaler | None = None
        if name == "fp16":
            if self._kind != "cuda":
                raise ValueError("fp16 needs a GPU, and this run is on the CPU; choose bf16 or float32.")
            self._scaler = torch.amp.GradScaler(self._kind)

    def autocast(self) -> AbstractContextManager[Any]:
        """Within, operations that may compute with fewer bits do."""
        import torch

        return torch.autocast(self._kind, self._type) if self.mixed else nullcontext()

    def forward(self, model: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> Any:
        """The model's answer, as float32."""
        if not self.mixed:
            return model(*inputs)
        with self.autocast():
            answer = model(*inputs)
        return tuple(part.float() for part in answer) if isinstance(answer, tuple) else answer.float()

    def backward(self, loss: torch.Tensor) -> None:
        """Add up the gradient of a loss."""
        if self._scaler is not None:
            loss = self._scaler.scale(loss)
        loss.backward()  # type: ignore[no-untyped-call]

    def unscale(self, optimizer: torch.optim.Optimizer | ChainedOptimizer) -> None:
        """Scale the gradient down to its true size, as clipping needs it; `step` would otherwise do so."""
        if self._scaler is not None:
            for part in optimizers_of(optimizer):
                self._scaler.unscale_(part)

    def step(self, optimizer: torch.optim.Optimizer | ChainedOptimizer) -> None:
        """Take the step of an optimizer; in fp16 it is skipped where the scaled gradient is infinite."""
        if self._scaler is None:
            optimizer.step()
            return
        for part in optimizers_of(optimizer):
            self._scaler.step(part)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        return self._scaler.state_dict() if self._scaler is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._scaler is not None and state:
            self._scaler.load_state_dict(state)
