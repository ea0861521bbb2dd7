"""Layers of generative and adversarial networks: sampling, noise, gradient reversal and vector quantization.

`auxiliary_loss` is a scalar from the last forward in training mode, which the training loop adds to the loss.
"""

import torch
from torch import nn


class Reparameterize(nn.Module):
    """mean + exp(log_variance / 2) · noise in training, the mean otherwise, (N, …), (N, …) -> (N, …).

    `auxiliary_loss` is `coefficient` times the Kullback–Leibler divergence from the standard normal distribution,
    summed over the elements of an example and averaged over the batch. https://arxiv.org/abs/1312.6114
    """

    def __init__(self, coefficient: float = 1.0) -> None:
        super().__init__()
        self.coefficient = coefficient
        self.auxiliary_loss: torch.Tensor | None = None

    def forward(self, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return mean
        self.auxiliary_loss = self.coefficient * self.divergence(mean, log_variance)
        return mean + (0.5 * log_variance).exp() * torch.randn_like(mean)

    @staticmethod
    def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
        # Both distributions are normal, so the divergence has a closed form (appendix B of the paper).
        each = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)
        return each.flatten(1).sum(dim=1).mean()


class GradientReversal(nn.Module):
    """The identity, whose gradient in training is multiplied by −`coefficient`.

    https://arxiv.org/abs/1409.7495
    """

    def __init__(self, coefficient: float = 1.0) -> None:
        super().__init__()
        self.coefficient = coefficient

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        return x - (1.0 + self.coefficient) * (x - x.detach())  # the parenthesis is 0, its gradient 1


class GaussianNoise(nn.Module):
    """Adds normal noise with the standard deviation `std` in training."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.std * torch.randn_like(x) if self.training else x


class VectorQuantizer(nn.Module):
    """Replaces each vector by the nearest of `codes` learned vectors and returns their indices, as in VQ-VAE.

    (N, T, D) -> (N, T, D), (N, T); with `channels_first`, (N, D, …) -> (N, D, …), (N, …). `auxiliary_loss` is the mean
    squared distance, which moves the codes to the vectors, plus `commitment` times the same distance, which moves the
    vectors to the codes. https://arxiv.org/abs/1711.00937
    """

    def __init__(self, dim: int, codes: int, commitment: float = 0.25, channels_first: bool = False) -> None:
        super().__init__()
        self.commitment, self.channels_first = commitment, channels_first
        self.codebook = nn.Embedding(codes, dim)
        nn.init.uniform_(self.codebook.weight, -1.0 / codes, 1.0 / codes)
        self.auxiliary_loss: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        vectors = x.movedim(1, -1) if self.channels_first else x
        indices = self.nearest(vectors.detach())  # (N, T) or (N, …)
        codes = self.codebook(indices)  # (N, T, D) or (N, …, D)
        if self.training:
            follow = (codes - vectors.detach()).square().mean()
            commit = (vectors - codes.detach()).square().mean()
            self.auxiliary_loss = follow + self.commitment * commit
        out = vectors + (codes - vectors).detach()  # straight-through: the gradient skips the choice of the code
        return out.movedim(-1, 1) if self.channels_first else out, indices

    def nearest(self, vectors: torch.Tensor) -> torch.Tensor:
        # |v − c|² without |v|², which is the same for all codes: a product instead of all differences.
        codes = self.codebook.weight.detach()
        return (codes.square().sum(dim=1) - 2.0 * vectors @ codes.T).argmin(dim=-1)
