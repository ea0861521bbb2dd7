"""The running mean of the training loss."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LOG_EVERY_S = 0.25


class RunningLoss:
    """The mean loss of the steps since the last point.

    Losses stay tensors until then: reading a number, as `.item()` does, makes the CPU wait for the device, and then the
    next step cannot be prepared while the current one is computed.
    """

    def __init__(self) -> None:
        self._losses: list[torch.Tensor] = []
        self._logged_at_s = 0.0

    def add(self, loss: torch.Tensor) -> None:
        self._losses.append(loss)

    @property
    def is_due(self) -> bool:
        """Return whether a point of the curves is due."""
        return time.monotonic() - self._logged_at_s >= LOG_EVERY_S

    def take(self) -> float | None:
        """Return the mean and reset it; None if there was no step."""
        import torch

        self._logged_at_s = time.monotonic()
        if not self._losses:
            return None
        mean = float(torch.stack(self._losses).mean())
        self._losses.clear()
        return mean
