"""Samples of latent variables in evaluation, and their KL divergence, for the evidence lower bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass
class LatentSampler:
    """Sums over the rows of an evaluation: the KL divergence in nats, and the same multiplied by β.

    `seed` must be called before each batch.
    """

    kl: torch.Tensor | float = 0.0
    weighted_kl: torch.Tensor | float = 0.0
    _generator: torch.Generator | None = field(default=None, repr=False)

    def seed(self, start: int) -> None:
        """Use the same noise for the batch that begins at row `start` in every evaluation, so that epochs can be
        compared."""
        import torch

        self._generator = torch.Generator().manual_seed(start)

    def sums(self) -> dict[str, torch.Tensor]:
        import torch

        return {"kl": torch.as_tensor(self.kl), "weighted_kl": torch.as_tensor(self.weighted_kl)}

    def sample(self, module: Any, inputs: tuple[torch.Tensor, torch.Tensor], _: torch.Tensor) -> torch.Tensor:
        """Replace the mean that a module returns in evaluation mode by a sample; a forward hook."""
        import torch

        mean, log_variance = inputs
        kl = module.divergence(mean, log_variance) * len(mean)
        self.kl, self.weighted_kl = self.kl + kl, self.weighted_kl + module.coefficient * kl
        # Drawn on the CPU: a generator of the GPU would give other numbers for the same seed.
        noise = torch.randn(mean.shape, generator=self._generator).to(mean)
        return mean + (0.5 * log_variance).exp() * noise


@contextmanager
def sampled_latents(model: nn.Module) -> Iterator[LatentSampler]:
    """Let all modules with a `divergence`, such as Reparameterize, sample in evaluation mode."""
    sampler = LatentSampler()
    modules = [module for module in model.modules() if hasattr(module, "divergence")]
    hooks = [module.register_forward_hook(sampler.sample) for module in modules]
    try:
        yield sampler
    finally:
        for hook in hooks:
            hook.remove()
