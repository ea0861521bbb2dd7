"""Mixed precision. Weights, losses and metrics stay float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from netloom.core.text import first_line
from netloom.training.errors import TrainingError
from netloom.training.optimization.optimizers import ChainedOptimizer, optimizers_of
from netloom.training.weights.weight_files import StateDict

if TYPE_CHECKING:
    import torch


class Precision:
    """Runs forward, backward and the optimizer step in a precision: `name` is float32, bf16, fp16, or auto, which
    is float32 until a trainer has chosen.

    fp16 has a small range of exponents, in which small gradients become 0, so the loss is scaled up before backward and
    the gradient down before the step: https://arxiv.org/abs/1710.03740. bf16 has the range of float32.

    Raises:
        ValueError: fp16 was requested without a GPU.
    """

    def __init__(self, name: str, device: str) -> None:
        import torch

        self._name, self._kind = name, device.partition(":")[0]
        self._type = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name)
        self.mixed = self._type is not None
        self._scaler: torch.amp.GradScaler | None = None
        if name == "fp16":
            if self._kind != "cuda":
                raise ValueError("fp16 needs a GPU, and this run is on the CPU; choose bf16 or float32.")
            self._scaler = torch.amp.GradScaler(self._kind)

    def autocast(self, cache: bool = True) -> AbstractContextManager[Any]:
        """Context in which suitable operations use the lower precision. With `cache`, each weight is cast once."""
        import torch

        return torch.autocast(self._kind, self._type, cache_enabled=cache) if self.mixed else nullcontext()

    def forward(self, model: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> Any:
        """Return the output of the model as float32.

        Raises:
            TrainingError: an operation does not support the lower precision on this device.
        """
        import torch

        if not self.mixed:
            return model(*inputs)
        try:
            with self.autocast():
                answer = model(*inputs)
        except RuntimeError as error:
            if isinstance(error, (torch.OutOfMemoryError, TrainingError)):
                raise
            model(*inputs)  # raises the error again if the precision is not its cause
            raise TrainingError(
                f"This network cannot be trained in {self._name} on this device; set the precision to float32. PyTorch "
                f"reports: {first_line(error)}"
            ) from error
        return tuple(part.float() for part in answer) if isinstance(answer, tuple) else answer.float()

    def backward(self, loss: torch.Tensor) -> None:
        """Accumulate the gradient of a loss."""
        if self._scaler is not None:
            loss = self._scaler.scale(loss)
        loss.backward()  # type: ignore[no-untyped-call]

    def unscale(self, optimizer: torch.optim.Optimizer | ChainedOptimizer) -> None:
        """Scale the gradient down to its true size before clipping; otherwise `step` does so."""
        if self._scaler is not None:
            for part in optimizers_of(optimizer):
                self._scaler.unscale_(part)

    def step(self, optimizer: torch.optim.Optimizer | ChainedOptimizer) -> None:
        """Take an optimizer step; in fp16, it is skipped if the scaled gradient is infinite."""
        if self._scaler is None:
            optimizer.step()
            return
        for part in optimizers_of(optimizer):
            self._scaler.step(part)
        self._scaler.update()

    def state_dict(self) -> StateDict:
        return self._scaler.state_dict() if self._scaler is not None else {}

    def load_state_dict(self, state: StateDict) -> None:
        if self._scaler is not None and state:
            self._scaler.load_state_dict(state)
