"""Modules that join several tensors into one."""

import torch
from torch import nn


class Add(nn.Module):
    """The sum of its inputs, whose shapes must be equal or broadcast."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        total = inputs[0]
        for value in inputs[1:]:
            total = total + value
        return total


class Multiply(nn.Module):
    """The elementwise product of its inputs, whose shapes must be equal or broadcast."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        product = inputs[0]
        for value in inputs[1:]:
            product = product * value
        return product


class Concat(nn.Module):
    """Its inputs side by side along one axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat(inputs, dim=self.dim)
