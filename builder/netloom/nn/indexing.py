"""Modules that take parts of a tensor, by place."""

import torch
from torch import nn


class Split(nn.Module):
    """Cuts one axis into parts of the given sizes."""

    def __init__(self, sizes: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.sizes, self.dim = sizes, dim

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.split(x, list(self.sizes), dim=self.dim))


class Slice(nn.Module):
    """The places from `start` up to `end` along one axis, in steps."""

    def __init__(self, dim: int, start: int, end: int, step: int = 1) -> None:
        super().__init__()
        self.dim, self.start, self.end, self.step = dim, start, end, step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = [slice(None)] * self.dim + [slice(self.start, self.end, self.step)]
        return x[tuple(places)]


class Select(nn.Module):
    """The part at one place of an axis, which goes unless it is kept with a length of 1."""

    def __init__(self, dim: int, index: int, keep: bool = False) -> None:
        super().__init__()
        self.dim, self.index, self.keep = dim, index, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.narrow(self.dim, self.index, 1) if self.keep else x.select(self.dim, self.index)


class IndexSelect(nn.Module):
    """The parts at several fixed places of an axis, in their order."""

    indices: torch.Tensor

    def __init__(self, dim: int, indices: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("indices", torch.tensor(indices), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.index_select(self.dim, self.indices)


class Gather(nn.Module):
    """The parts of an axis at the places `indices`, (N, …), whose axes after N come in the place of that axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        moved = x.movedim(self.dim, 1)  # (N, T, …)
        features = moved.shape[2:]
        places = indices.reshape(indices.shape[0], -1, *(1 for _ in features))
        gathered = moved.gather(1, places.expand(-1, -1, *features))  # (N, K, …)
        gathered = gathered.movedim(1, self.dim)
        return gathered.reshape(*gathered.shape[: self.dim], *indices.shape[1:], *gathered.shape[self.dim + 1 :])


class GatherElements(nn.Module):
    """Single numbers along one axis at the places `indices`, which has as many axes as the tensor."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        return x.gather(self.dim, indices)


class Scatter(nn.Module):
    """Numbers put along one axis at the places `indices`, of the same shape; zeros fill the rest of `length`."""

    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        self.dim, self.length = dim, length

    def forward(self, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        shape = [*x.shape[: self.dim], self.length, *x.shape[self.dim + 1 :]]
        return x.new_zeros(shape).scatter(self.dim, indices, x)
