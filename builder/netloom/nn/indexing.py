"""Modules that select parts of a tensor by their indices."""

import torch
from torch import nn


class Split(nn.Module):
    """Splits one axis into parts of the given sizes."""

    def __init__(self, sizes: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.sizes, self.dim = sizes, dim

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.split(x, list(self.sizes), dim=self.dim))


class Slice(nn.Module):
    """The entries from `start` to `end` (exclusive) along one axis, every `step`."""

    def __init__(self, dim: int, start: int, end: int, step: int = 1) -> None:
        super().__init__()
        self.dim, self.start, self.end, self.step = dim, start, end, step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        slices = [slice(None)] * self.dim + [slice(self.start, self.end, self.step)]
        return x[tuple(slices)]


class Select(nn.Module):
    """The entry at one index of an axis; the axis is removed, or kept with length 1."""

    def __init__(self, dim: int, index: int, keep: bool = False) -> None:
        super().__init__()
        self.dim, self.index, self.keep = dim, index, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.narrow(self.dim, self.index, 1) if self.keep else x.select(self.dim, self.index)


class IndexSelect(nn.Module):
    """The entries at several fixed indices of an axis, in this order."""

    indices: torch.Tensor

    def __init__(self, dim: int, indices: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("indices", torch.tensor(indices), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.index_select(self.dim, self.indices)


class Gather(nn.Module):
    """The entries of an axis at `indices`, (N, …); the axes of `indices` after N replace that axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        moved = x.movedim(self.dim, 1)  # (N, T, …)
        features = moved.shape[2:]
        positions = indices.reshape(indices.shape[0], -1, *(1 for _ in features))
        gathered = moved.gather(1, positions.expand(-1, -1, *features))  # (N, K, …)
        gathered = gathered.movedim(1, self.dim)
        return gathered.reshape(*gathered.shape[: self.dim], *indices.shape[1:], *gathered.shape[self.dim + 1 :])


class GatherElements(nn.Module):
    """The elements along one axis at `indices`, which has as many axes as the tensor, as in torch.gather."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        return x.gather(self.dim, indices)


class Scatter(nn.Module):
    """Writes elements along one axis at `indices`, of the same shape; the rest of `length` is zero."""

    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        self.dim, self.length = dim, length

    def forward(self, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        shape = [*x.shape[: self.dim], self.length, *x.shape[self.dim + 1 :]]
        return x.new_zeros(shape).scatter(self.dim, indices, x)
