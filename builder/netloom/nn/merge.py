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
    """The concatenation of its inputs along one axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat(inputs, dim=self.dim)


class Stack(nn.Module):
    """Its inputs, which have the same shape, stacked along a new axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.stack(inputs, dim=self.dim)


class Maximum(nn.Module):
    """The elementwise maximum of its inputs."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        greatest = inputs[0]
        for value in inputs[1:]:
            greatest = torch.maximum(greatest, value)
        return greatest


class Minimum(nn.Module):
    """The elementwise minimum of its inputs."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        least = inputs[0]
        for value in inputs[1:]:
            least = torch.minimum(least, value)
        return least


class Average(nn.Module):
    """The elementwise mean of its inputs."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        total = inputs[0]
        for value in inputs[1:]:
            total = total + value
        return total / len(inputs)


class Subtract(nn.Module):
    """The first input minus the second."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a - b


class Divide(nn.Module):
    """The first input divided by the sum of the second and `eps`."""

    def __init__(self, eps: float = 0.0) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a / (b + self.eps)


class Blend(nn.Module):
    """The interpolation gate · a + (1 − gate) · b."""

    def forward(self, a: torch.Tensor, b: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        return gate * a + (1 - gate) * b
