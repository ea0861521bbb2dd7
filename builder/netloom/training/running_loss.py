"""The loss of the steps on its way to the curves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LOG_EVERY_S = 0.25


class RunningLoss:
    """The mean loss of the steps since it was last taken.

    Losses stay tensors until then: to read the number of one, as `.item()` does, makes the CPU wait for the device, and
    a step that waits cannot be prepared while the one before is computed.
    """

    def __init__(self) -> None:
        self._losses: list[torch.Tensor] = []
        self._taken_at = 0.0

    def add(self, loss: torch.Tensor) -> None:
        self._losses.append(loss)

    @property
    def is_due(self) -> bool:
        """Whether it was last taken so long ago that the curves want a point."""
        return time.monotonic() - self._taken_at >= LOG_EVERY_S

    def take(self) -> float | None:
        """The mean, which begins anew; None where there was no step since."""
        import torch

        self._taken_at = time.monotonic()
        if not self._losses:
            return None
        mean = float(torch.stack(self._losses).mean())
        self._losses.clear()
        return mean
