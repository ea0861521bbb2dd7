"""The Fréchet distance between two sets of images: between the normal distributions fitted to them.

https://arxiv.org/abs/1706.08500, on pixels instead of the features of a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Larger images are pooled first, because the covariance has a row and a column for each pixel.
SIDE = 8


def features(pictures: torch.Tensor) -> torch.Tensor:
    """Return images (N, C, H, W) as vectors (N, F) of at most 8×8 means per channel, in float64 on the CPU."""
    from torch.nn import functional

    height, width = pictures.shape[-2:]
    if max(height, width) > SIDE:
        pictures = functional.adaptive_avg_pool2d(pictures, (min(height, SIDE), min(width, SIDE)))
    return pictures.detach().flatten(1).cpu().double()


def frechet(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return |μ₁ − μ₂|² + tr(C₁ + C₂ − 2 (C₁^½ C₂ C₁^½)^½) for vectors (N, F) and (M, F).

    It is 0 for equal distributions, and NaN if a value is not finite.

    Computed by eigenvalues: `scipy.linalg.sqrtm` is slower and warns about singular matrices, which constant pixels
    cause.
    """
    import torch

    if not bool(first.isfinite().all() and second.isfinite().all()):
        return float("nan")
    means = (first.mean(0) - second.mean(0)).square().sum()
    # `cov` of a single feature is a scalar, hence `reshape`.
    first_covariance, second_covariance = (
        values.T.cov(correction=0).reshape(values.shape[1], -1) for values in (first, second)
    )
    # Rounding can make eigenvalues of a singular covariance slightly negative, hence `clamp` before each root.
    roots, axes = torch.linalg.eigh(first_covariance)
    half = axes * roots.clamp(min=0).sqrt() @ axes.T
    shared = torch.linalg.eigvalsh(half @ second_covariance @ half).clamp(min=0).sqrt().sum()
    return max(0.0, float(means + first_covariance.trace() + second_covariance.trace() - 2 * shared))


def shuffled(vectors: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Permute each column of vectors (N, F) independently: keeps the distribution of each pixel and destroys their
    correlation."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(vectors.shape, generator=generator).argsort(dim=0)
    return vectors.gather(0, order)
