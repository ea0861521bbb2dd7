"""Auxiliary losses of modules, which are added to the loss of the objective, such as the KL divergence of a VAE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

NAME, TITLE = "auxiliary_loss", "Auxiliary loss"


class AuxiliaryLosses:
    """Adds the `auxiliary_loss` of modules to the loss, and averages it over an epoch."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.modules: list[Any] = [module for module in modules if hasattr(module, NAME)]
        self.sum: torch.Tensor | float = 0.0
        self._took: list[Any] = []

    def add_to(self, loss: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        """Return `loss` plus the auxiliary losses of the last forward pass, weighted by its `share` of the batch."""
        for module in self.modules:
            if module.auxiliary_loss is not None:
                added = module.auxiliary_loss if share == 1.0 else module.auxiliary_loss * share
                loss, module.auxiliary_loss = loss + added, None
                self.sum = self.sum + added.detach().float()
        return loss

    def take(self) -> tuple[torch.Tensor, ...]:
        """Remove the losses of the last forward pass from the modules, and return those that there are."""
        self._took = [module for module in self.modules if module.auxiliary_loss is not None]
        losses = tuple(module.auxiliary_loss for module in self._took)
        for module in self._took:
            module.auxiliary_loss = None
        return losses

    def put(self, losses: tuple[torch.Tensor, ...]) -> None:
        """Give losses back to the modules that they were taken from."""
        for module, loss in zip(self._took, losses, strict=True):
            module.auxiliary_loss = loss

    def mean(self, steps: int) -> dict[str, float]:
        """Return the mean over the steps of an epoch, by metric name; empty if no module has an auxiliary loss."""
        return {NAME: float(self.sum) / steps} if self.modules else {}
