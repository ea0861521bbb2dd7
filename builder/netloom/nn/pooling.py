"""Pooling modules that PyTorch lacks."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class MaxUnpool(nn.Module):
    """Puts each number back where its maximum stood, (N, C, …) -> (N, C, *size); all other places are zero.

    The indices count the places of one channel row by row. https://arxiv.org/abs/1311.2901
    """

    def __init__(self, size: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        empty = x.new_zeros(x.shape[0], x.shape[1], math.prod(self.size))
        filled = empty.scatter(2, indices.flatten(2), x.flatten(2))
        return filled.reshape(x.shape[0], x.shape[1], *self.size)


class FractionalMaxPool(nn.Module):
    """The maxima of windows, (N, C, …) -> (N, C, *size): in each training step at places drawn anew, as in
    torch.nn.FractionalMaxPool2d; in evaluation at those which that draws from samples of 0.5, so that an answer stays
    the same.

    https://arxiv.org/abs/1412.6071
    """

    def __init__(self, kernel_size: int, size: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel_size, self.size = kernel_size, size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            pool = F.fractional_max_pool2d if len(self.size) == 2 else F.fractional_max_pool3d
            drawn: torch.Tensor = pool(x, self.kernel_size, output_size=self.size)
            return drawn
        for axis, size in enumerate(self.size, 2):
            places = self.windows(x.shape[axis], size, x.device).flatten()
            x = torch.unflatten(x.index_select(axis, places), axis, (size, self.kernel_size)).amax(axis + 1)
        return x

    def windows(self, length: int, size: int, device: torch.device) -> torch.Tensor:
        """The places in each window along an axis, (size, kernel_size); the last window ends where the axis ends."""
        step = (length - self.kernel_size) / max(size - 1, 1)
        starts = ((torch.arange(size, device=device) + 0.5) * step).long() - int(0.5 * step)
        starts[-1] = length - self.kernel_size
        return starts[:, None] + torch.arange(self.kernel_size, device=device)
