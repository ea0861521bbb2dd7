"""Reductions over axes, and sorting along an axis."""

import torch
from torch import nn


class Sum(nn.Module):
    """The sum over some axes, which are removed, or kept with length 1."""

    def __init__(self, dims: tuple[int, ...], keep: bool = False) -> None:
        super().__init__()
        self.dims, self.keep = dims, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(dim=self.dims, keepdim=self.keep)


class Min(nn.Module):
    """The minimum over some axes, which are removed, or kept with length 1."""

    def __init__(self, dims: tuple[int, ...], keep: bool = False) -> None:
        super().__init__()
        self.dims, self.keep = dims, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amin(dim=self.dims, keepdim=self.keep)


class Prod(nn.Module):
    """The product over some axes, which are removed, or kept with length 1."""

    def __init__(self, dims: tuple[int, ...], keep: bool = False) -> None:
        super().__init__()
        self.dims, self.keep = dims, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for dim in sorted(self.dims, reverse=True):  # from the last, so that the indices of the others stay valid
            x = x.prod(dim=dim, keepdim=self.keep)
        return x


class LogSumExp(nn.Module):
    """The logarithm of the sum of the exponentials over some axes, which are removed, or kept with length 1."""

    def __init__(self, dims: tuple[int, ...], keep: bool = False) -> None:
        super().__init__()
        self.dims, self.keep = dims, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.logsumexp(dim=self.dims, keepdim=self.keep)


class Var(nn.Module):
    """The variance over some axes, removed or kept with length 1; divided by n, or by n − 1 if `unbiased`."""

    def __init__(self, dims: tuple[int, ...], unbiased: bool = False, keep: bool = False) -> None:
        super().__init__()
        self.dims, self.unbiased, self.keep = dims, unbiased, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.var(dim=self.dims, correction=int(self.unbiased), keepdim=self.keep)


class Std(nn.Module):
    """The standard deviation over some axes, removed or kept with length 1; with n, or n − 1 if `unbiased`."""

    def __init__(self, dims: tuple[int, ...], unbiased: bool = False, keep: bool = False) -> None:
        super().__init__()
        self.dims, self.unbiased, self.keep = dims, unbiased, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.std(dim=self.dims, correction=int(self.unbiased), keepdim=self.keep)


class Norm(nn.Module):
    """The norm "L1", "L2" or "max" of the vectors over some axes, which are removed, or kept with length 1."""

    def __init__(self, dims: tuple[int, ...], order: str = "L2", keep: bool = False) -> None:
        super().__init__()
        self.dims, self.keep = dims, keep
        self.order = {"L1": 1.0, "L2": 2.0, "max": float("inf")}[order]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length: torch.Tensor = torch.linalg.vector_norm(x, self.order, dim=self.dims, keepdim=self.keep)
        return length


class MaskedMean(nn.Module):
    """The mean of the steps where the mask (N, T) is not 0, (N, T, …) -> (N, …); 0 if there are none."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        is_valid = (mask != 0).reshape(*mask.shape, *(1 for _ in x.shape[2:]))
        total = x.masked_fill(~is_valid, 0.0).sum(dim=1)
        return total / is_valid.sum(dim=1).clamp(min=1)


class MaskedMax(nn.Module):
    """The maximum of the steps where the mask (N, T) is not 0, (N, T, …) -> (N, …); 0 if there are none."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        is_valid = (mask != 0).reshape(*mask.shape, *(1 for _ in x.shape[2:]))
        maximum = x.masked_fill(~is_valid, float("-inf")).amax(dim=1)
        return maximum.masked_fill(~is_valid.any(dim=1), 0.0)


class ArgMax(nn.Module):
    """The index of the maximum along one axis, which is removed, or kept with length 1."""

    def __init__(self, dim: int, keep: bool = False) -> None:
        super().__init__()
        self.dim, self.keep = dim, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.argmax(dim=self.dim, keepdim=self.keep)


class ArgMin(nn.Module):
    """The index of the minimum along one axis, which is removed, or kept with length 1."""

    def __init__(self, dim: int, keep: bool = False) -> None:
        super().__init__()
        self.dim, self.keep = dim, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.argmin(dim=self.dim, keepdim=self.keep)


class TopK(nn.Module):
    """The k largest or smallest elements along one axis in order, and their indices."""

    def __init__(self, k: int, dim: int, largest: bool = True) -> None:
        super().__init__()
        self.k, self.dim, self.largest = k, dim, largest

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, indices = x.topk(self.k, dim=self.dim, largest=self.largest)
        return values, indices


class Sort(nn.Module):
    """The sorted elements along one axis and their original indices; the sort is stable."""

    def __init__(self, dim: int, descending: bool = False) -> None:
        super().__init__()
        self.dim, self.descending = dim, descending

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, indices = torch.sort(x, dim=self.dim, descending=self.descending, stable=True)
        return values, indices
