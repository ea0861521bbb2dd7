"""Losses that modules add to that of the objective, such as the KL divergence of a variational autoencoder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

NAME, TITLE = "auxiliary_loss", "Auxiliary loss"


class AuxiliaryLosses:
    """What the forward pass of modules leaves in `auxiliary_loss`, and its sum over an epoch."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.modules: list[Any] = [module for module in modules if hasattr(module, NAME)]
        self.sum: torch.Tensor | float = 0.0

    def add_to(self, loss: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        """A loss with what the last forward pass left added; `share` is how much of the batch has gone through it."""
        for module in self.modules:
            if module.auxiliary_loss is not None:
                added = module.auxiliary_loss if share == 1.0 else module.auxiliary_loss * share
                loss, module.auxiliary_loss = loss + added, None
                self.sum = self.sum + added.detach().float()
        return loss

    def mean(self, steps: int) -> dict[str, float]:
        """The mean over the steps of an epoch, by the name on the curves; empty where no module has such a loss."""
        return {NAME: float(self.sum) / steps} if self.modules else {}
