"""Modules that repeat, reverse, shift, pad or unfold an axis."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class Expand(nn.Module):
    """Expands an axis of length 1 to `length` without copying."""

    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        self.dim, self.length = dim, length

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.expand(*(self.length if dim == self.dim else -1 for dim in range(x.dim())))


class Repeat(nn.Module):
    """Repeats a tensor along one axis: as a whole (abab), or `each` entry in place (aabb)."""

    def __init__(self, dim: int, times: int, each: bool = False) -> None:
        super().__init__()
        self.dim, self.times, self.each = dim, times, each

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.each:
            return x.repeat_interleave(self.times, dim=self.dim)
        return torch.cat([x] * self.times, dim=self.dim)


class Flip(nn.Module):
    """Reverses the order along some axes."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flip(self.dims)


class Roll(nn.Module):
    """Shifts the entries along one axis cyclically."""

    def __init__(self, dim: int, shift: int) -> None:
        super().__init__()
        self.dim, self.shift = dim, shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.roll(self.shift, self.dim)


class Pad(nn.Module):
    """Pads both ends of one axis with a constant."""

    def __init__(self, dim: int, before: int, after: int, value: float = 0.0) -> None:
        super().__init__()
        self.dim, self.before, self.after, self.value = dim, before, after, value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        zeros = [0, 0] * (x.dim() - 1 - self.dim)  # PyTorch lists padding from the last axis to the first
        return F.pad(x, [*zeros, self.before, self.after], value=self.value)


class SlidingWindow(nn.Module):
    """Windows of `size` entries along axis `dim`, `step` apart: (…, L, …) -> (…, windows, size, …)."""

    def __init__(self, dim: int, size: int, step: int) -> None:
        super().__init__()
        self.dim, self.size, self.step = dim, size, step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unfold(self.dim, self.size, self.step).movedim(-1, self.dim + 1)
