"""Linear maps whose weights lie otherwise than those of nn.Linear."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class TransposedLinear(nn.Module):
    """x W + b over the last axis; W is (features, units), and so can be that of an nn.Linear which leads back.

    The numbers begin as those of nn.Linear.
    """

    def __init__(self, features: int, units: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features, units))
        bound = 1 / math.sqrt(features)
        nn.init.uniform_(self.weight, -bound, bound)
        self.bias = nn.Parameter(torch.empty(units).uniform_(-bound, bound)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight.t(), self.bias)
