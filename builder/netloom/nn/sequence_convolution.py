"""Causal convolutions over sequences (N, T, D): no step depends on a later one."""

import torch
from torch import nn


class CausalConv1d(nn.Module):
    """A convolution that pads only the start, (N, T, D) -> (N, T, filters). https://arxiv.org/abs/1609.03499

    With `weight_norm`, length and direction of each filter are separate parameters. https://arxiv.org/abs/1602.07868
    """

    def __init__(
        self, dim: int, filters: int, kernel_size: int = 3, dilation: int = 1, weight_norm: bool = False
    ) -> None:
        super().__init__()
        # As many zeros as the kernel reaches back, so that the output has the length of the input
        self.pad = nn.ConstantPad1d(((kernel_size - 1) * dilation, 0), 0.0)
        self.convolution = nn.Conv1d(dim, filters, kernel_size, dilation=dilation)
        if weight_norm:
            nn.utils.parametrizations.weight_norm(self.convolution)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.convolution(self.pad(x.transpose(1, 2)))
        return out.transpose(1, 2)


class TCNBlock(nn.Module):
    """Two causal convolutions with a residual, (N, T, D) -> (N, T, filters). https://arxiv.org/abs/1803.01271"""

    def __init__(self, dim: int, filters: int, kernel_size: int = 3, dilation: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            CausalConv1d(dim, filters, kernel_size, dilation, weight_norm=True),
            nn.ReLU(),
            nn.Dropout(dropout),
            CausalConv1d(filters, filters, kernel_size, dilation, weight_norm=True),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.shortcut = nn.Identity() if dim == filters else nn.Linear(dim, filters)
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.activation(self.layers(x) + self.shortcut(x))
        return out


class WaveNetBlock(nn.Module):
    """tanh(filter) · sigmoid(gate) of causal convolutions, (N, T, D) -> (N, T, D), (N, T, skip).

    The first output is the input of the next block; the second is summed over all blocks.
    https://arxiv.org/abs/1609.03499
    """

    def __init__(self, dim: int, skip: int, kernel_size: int = 2, dilation: int = 1) -> None:
        super().__init__()
        self.filter = CausalConv1d(dim, dim, kernel_size, dilation)
        self.gate = CausalConv1d(dim, dim, kernel_size, dilation)
        self.tanh = nn.Tanh()
        self.sigmoid = nn.Sigmoid()
        self.residual = nn.Linear(dim, dim)
        self.skip = nn.Linear(dim, skip)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gated = self.tanh(self.filter(x)) * self.sigmoid(self.gate(x))
        return x + self.residual(gated), self.skip(gated)
