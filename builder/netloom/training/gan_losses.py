"""The losses of a generative adversarial network with the non-saturating generator loss.

https://arxiv.org/abs/1406.2661. −log σ(x) is computed as softplus(−x), which does not overflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def discriminator_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """−log D(x) − log(1 − D(G(z))), from the logits of real and of generated images (N, 1), each averaged."""
    from torch.nn import functional

    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def generator_loss(fake: torch.Tensor) -> torch.Tensor:
    """−log D(G(z)), from the logits of generated images (N, 1), averaged."""
    from torch.nn import functional

    return functional.softplus(-fake).mean()
