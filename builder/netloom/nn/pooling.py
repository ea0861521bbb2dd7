"""Pooling modules that PyTorch lacks."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class MaxUnpool(nn.Module):
    """Puts each value back at the position of its maximum, (N, C, …) -> (N, C, *size), with zeros elsewhere.

    The indices are flat positions within a channel, as nn.MaxPool2d returns them. https://arxiv.org/abs/1311.2901
    """

    def __init__(self, size: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        empty = x.new_zeros(x.shape[0], x.shape[1], math.prod(self.size))
        filled = empty.scatter(2, indices.flatten(2), x.flatten(2))
        return filled.reshape(x.shape[0], x.shape[1], *self.size)


class FractionalMaxPool(nn.Module):
    """Max pooling to a fractional size with random windows, (N, C, …) -> (N, C, *size).

    In training, each step draws new windows, as torch.nn.FractionalMaxPool2d does. Evaluation uses the windows that
    PyTorch derives from random samples of 0.5, so that predictions are deterministic. https://arxiv.org/abs/1412.6071
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
            positions = self.windows(x.shape[axis], size, x.device).flatten()
            x = torch.unflatten(x.index_select(axis, positions), axis, (size, self.kernel_size)).amax(axis + 1)
        return x

    def windows(self, length: int, size: int, device: torch.device) -> torch.Tensor:
        """The positions of each window along an axis, (size, kernel_size); the last window ends with the axis."""
        # As in PyTorch: start i = ⌊(i + u) α⌋ − ⌊u α⌋ with α = (length − kernel_size) / (size − 1), here with u = 0.5
        step = (length - self.kernel_size) / max(size - 1, 1)
        starts = ((torch.arange(size, device=device) + 0.5) * step).long() - int(0.5 * step)
        starts[-1] = length - self.kernel_size
        return starts[:, None] + torch.arange(self.kernel_size, device=device)
