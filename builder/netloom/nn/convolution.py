"""Convolutions composed of several PyTorch modules."""

import torch
from torch import nn


class SeparableConv2d(nn.Module):
    """A depthwise convolution, then a 1×1 convolution that mixes the channels, (N, C, H, W) -> (N, filters, H', W').

    https://arxiv.org/abs/1610.02357
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels, channels, kernel_size, stride, padding, dilation, groups=channels, bias=bias
        )
        self.pointwise = nn.Conv2d(channels, filters, 1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.pointwise(self.depthwise(x))
        return out
