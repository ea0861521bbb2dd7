"""A handwritten training loop: tensors loaded beforehand, no number read back between steps.

It does the same work as Netloom's: each epoch shuffles and trains on all rows, then measures loss and accuracy on the
validation split and on the first thousand training rows, and keeps a copy of the best weights.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.data import Prepared

SAMPLE = 1_000
EVALUATION_BATCH = 512


class PlainLoop:
    """The training of a classifier, with the default Adam or the fused one."""

    def __init__(
        self, model: nn.Module, data: Prepared, field: str, batch_size: int, learning_rate: float, fused: bool
    ) -> None:
        import torch

        train, validation = data.split["train"], data.split["validation"]
        self.x, self.y = data.inputs[field][train], data.target[train]
        self.held_x, self.held_y = data.inputs[field][validation], data.target[validation]
        self.model, self.batch_size = model, batch_size
        # The default of PyTorch is None, not False.
        self.optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=fused or None)
        self.best = float("inf")
        self.weights: dict[str, torch.Tensor] = {}

    def run(self, epochs: int) -> None:
        import torch
        from torch.nn.functional import cross_entropy

        for _ in range(epochs):
            self.model.train()
            order = torch.randperm(len(self.x))
            total = torch.zeros(())
            for start in range(0, len(self.x), self.batch_size):
                rows = order[start : start + self.batch_size]
                self.optimizer.zero_grad()
                loss = cross_entropy(self.model(self.x[rows]), self.y[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
                total += loss.detach()
            self.measure(self.x[:SAMPLE], self.y[:SAMPLE])
            validation_loss, _accuracy = self.measure(self.held_x, self.held_y)
            if validation_loss < self.best:
                self.best, self.weights = validation_loss, copy.deepcopy(self.model.state_dict())

    def measure(self, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
        """Return the mean loss and the accuracy on rows `x` (N, …) with targets `y` (N,)."""
        import torch
        from torch.nn.functional import cross_entropy

        self.model.eval()
        loss = correct = torch.zeros(())
        with torch.no_grad():
            for start in range(0, len(x), EVALUATION_BATCH):
                output, target = self.model(x[start : start + EVALUATION_BATCH]), y[start : start + EVALUATION_BATCH]
                loss = loss + cross_entropy(output, target, reduction="sum")
                correct = correct + (output.argmax(1) == target).sum()
        return float(loss) / len(x), float(correct) / len(x)
