"""Modules that change the shape of a tensor, or reduce one axis to its mean or maximum."""

import torch
from torch import nn


class Reshape(nn.Module):
    """(N, …) -> (N, *shape); one entry of `shape` may be -1."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0], *self.shape)


class Permute(nn.Module):
    """Reorders the axes; axis 0, the batch, remains first."""

    def __init__(self, order: tuple[int, ...]) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, *self.order)


class Transpose(nn.Module):
    """Swaps two axes."""

    def __init__(self, dim: int, other: int) -> None:
        super().__init__()
        self.dim, self.other = dim, other

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(self.dim, self.other)


class Squeeze(nn.Module):
    """Removes an axis of length 1."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.squeeze(self.dim)


class Unsqueeze(nn.Module):
    """Inserts an axis of length 1."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unsqueeze(self.dim)


class Mean(nn.Module):
    """The mean over one axis, which is removed, or kept with length 1."""

    def __init__(self, dim: int, keep: bool = False) -> None:
        super().__init__()
        self.dim, self.keep = dim, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=self.dim, keepdim=self.keep)


class Max(nn.Module):
    """The maximum over one axis, which is removed, or kept with length 1."""

    def __init__(self, dim: int, keep: bool = False) -> None:
        super().__init__()
        self.dim, self.keep = dim, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amax(dim=self.dim, keepdim=self.keep)


class GlobalAvgPool(nn.Module):
    """The mean over all positions, (N, C, …) -> (N, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).mean(dim=2)


class GlobalMaxPool(nn.Module):
    """The maximum over all positions, (N, C, …) -> (N, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).amax(dim=2)
