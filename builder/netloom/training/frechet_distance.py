"""How far two heaps of pictures are apart: the Fréchet distance between the normal distributions that fit them best.

https://arxiv.org/abs/1706.08500, on the pixels themselves in place of a network's features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Larger pictures are made smaller first: the covariance has a row and a column for each pixel.
SIDE = 8


def features(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (N, C, H, W) as vectors (N, F) of at most 8×8 means each channel, in float64 on the CPU."""
    from torch.nn import functional

    height, width = pictures.shape[-2:]
    if max(height, width) > SIDE:
        pictures = functional.adaptive_avg_pool2d(pictures, (min(height, SIDE), min(width, SIDE)))
    return pictures.detach().flatten(1).cpu().double()


def frechet(first: torch.Tensor, second: torch.Tensor) -> float:
    """|μ₁ − μ₂|² + tr(C₁ + C₂ − 2 (C₁^½ C₂ C₁^½)^½) of vectors (N, F) and (M, F); 0 where both are alike.

    By eigenvalues: `scipy.linalg.sqrtm` warns of singular matrices, which pixels that never change make, and is slower.
    """
    import torch

    if not bool(first.isfinite().all() and second.isfinite().all()):
        return float("nan")
    means = (first.mean(0) - second.mean(0)).square().sum()
    one, other = (values.T.cov(correction=0).reshape(values.shape[1], -1) for values in (first, second))
    roots, axes = torch.linalg.eigh(one)
    half = axes * roots.clamp(min=0).sqrt() @ axes.T
    shared = torch.linalg.eigvalsh(half @ other @ half).clamp(min=0).sqrt().sum()
    return max(0.0, float(means + one.trace() + other.trace() - 2 * shared))


def shuffled(vectors: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Vectors (N, F) whose numbers are each taken from another row: every pixel as ever, but none goes with another."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(vectors.shape, generator=generator).argsort(dim=0)
    return vectors.gather(0, order)
