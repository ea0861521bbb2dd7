"""Pooling modules that PyTorch lacks."""

import math

import torch
from torch import nn


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
