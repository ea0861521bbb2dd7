"""Modules that repeat, move, extend or cut up what stands along an axis."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class Expand(nn.Module):
    """Makes an axis of length 1 as long as `length`, without copying."""

    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        self.dim, self.length = dim, length

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.expand(*(self.length if dim == self.dim else -1 for dim in range(x.dim())))


class Repeat(nn.Module):
    """Several times the same along one axis: the whole of it (abab), or `each` of its parts in place (aabb)."""

    def __init__(self, dim: int, times: int, each: bool = False) -> None:
        super().__init__()
        self.dim, self.times, self.each = dim, times, each

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.each:
            return x.repeat_interleave(self.times, dim=self.dim)
        return torch.cat([x] * self.times, dim=self.dim)


class Flip(nn.Module):
    """Turns the order along some axes around."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flip(self.dims)


class Roll(nn.Module):
    """Moves everything along one axis by some places; what leaves at one end comes in at the other."""

    def __init__(self, dim: int, shift: int) -> None:
        super().__init__()
        self.dim, self.shift = dim, shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.roll(self.shift, self.dim)


class Pad(nn.Module):
    """Puts the same number before and after what stands along one axis."""

    def __init__(self, dim: int, before: int, after: int, value: float = 0.0) -> None:
        super().__init__()
        self.dim, self.before, self.after, self.value = dim, before, after, value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        zeros = [0, 0] * (x.dim() - 1 - self.dim)
        return F.pad(x, [*zeros, self.before, self.after], value=self.value)


class SlidingWindow(nn.Module):
    """Stretches of one axis, each `step` behind the one before it, on a new axis in front of their own."""

    def __init__(self, dim: int, size: int, step: int) -> None:
        super().__init__()
        self.dim, self.size, self.step = dim, size, step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unfold(self.dim, self.size, self.step).movedim(-1, self.dim + 1)
