"""A handwritten training loop: tensors on the device beforehand, no number read back between steps.

It does the same work as Netloom's: each epoch shuffles and trains on all rows, then measures loss and accuracy on the
validation split and on the first thousand training rows, and keeps a copy of the best weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom.training.speed.speed_trials import untouched

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.data import Prepared

SAMPLE = 1_000
EVALUATION_BATCH = 512


@dataclass(frozen=True)
class Speedups:
    """What people do to make a loop faster."""

    fused: bool = False
    channels_last: bool = False
    bf16: bool = False
    compiled: bool = False
    recorded: bool = False  # as a CUDA graph


class PlainLoop:
    """The training of a classifier or a language model with Adam. Outputs are logits (N, classes) or (N, T, classes).

    Epochs have the order of rows that Netloom draws for the seed 0, so that both end with the same loss.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Prepared,
        field: str,
        batch_size: int,
        learning_rate: float,
        device: str,
        speedups: Speedups,
    ) -> None:
        import torch

        train, validation = data.split["train"], data.split["validation"]
        self.x, self.y = data.inputs[field][train].to(device), data.target[train].to(device)
        self.held_x, self.held_y = data.inputs[field][validation].to(device), data.target[validation].to(device)
        self.model, self.batch_size, self.device, self.speedups = model.to(device), batch_size, device, speedups
        if speedups.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.x, self.held_x = (x.contiguous(memory_format=torch.channels_last) for x in (self.x, self.held_x))
        # The default of PyTorch is None, not False.
        self.optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=speedups.fused or None)
        self.forward: Callable[..., Any] = torch.compile(model) if speedups.compiled else model
        self.best = float("inf")
        self.weights: dict[str, torch.Tensor] = {}
        self.plain_forward: Callable[..., Any] = model.forward  # for a smaller last batch, which has no graph
        if speedups.recorded:
            with untouched(model):
                self.forward = torch.cuda.make_graphed_callables(model.train(), (self.x[:batch_size].clone(),))
        if speedups.compiled:
            self._loss(self.x[: self.batch_size], self.y[: self.batch_size]).backward()  # type: ignore[no-untyped-call]

    def run(self, epochs: int) -> None:
        import torch

        for epoch in range(epochs):
            self.model.train()
            order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(epoch)).to(self.device)
            total = torch.zeros((), device=self.device)
            for start in range(0, len(self.x), self.batch_size):
                rows = order[start : start + self.batch_size]
                self.optimizer.zero_grad()
                loss = self._loss(self.x[rows], self.y[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
                total += loss.detach()
            self.measure(self.x[:SAMPLE], self.y[:SAMPLE])
            validation_loss, _accuracy = self.measure(self.held_x, self.held_y)
            if validation_loss < self.best:
                self.best, self.weights = validation_loss, copy.deepcopy(self.model.state_dict())

    def measure(self, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
        """Return the mean loss and the accuracy on rows `x` (N, …) with targets `y` (N,) or (N, T)."""
        import torch
        from torch.nn.functional import cross_entropy

        self.model.eval()
        loss = correct = torch.zeros((), device=self.device)
        with torch.no_grad():
            for start in range(0, len(x), EVALUATION_BATCH):
                output, target = self.model(x[start : start + EVALUATION_BATCH]), y[start : start + EVALUATION_BATCH]
                loss = loss + cross_entropy(output.flatten(0, -2), target.flatten(), reduction="sum")
                correct = correct + (output.argmax(-1) == target).sum()
        return float(loss) / y.numel(), float(correct) / y.numel()

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        import torch
        from torch.nn.functional import cross_entropy

        with torch.autocast(self.device, torch.bfloat16) if self.speedups.bf16 else nullcontext():
            is_other_size = self.speedups.recorded and len(x) != self.batch_size
            output = (self.plain_forward if is_other_size else self.forward)(x)
        return cross_entropy(output.float().flatten(0, -2), y.flatten())
