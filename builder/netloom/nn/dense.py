"""Linear layers with a transposed weight."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class TransposedLinear(nn.Module):
    """x W + b over the last axis, (…, features) -> (…, units), with W of shape (features, units).

    W can therefore be tied to the weight of an nn.Linear from `units` to `features`, as in an autoencoder. The
    initialization is that of nn.Linear.
    """

    def __init__(self, features: int, units: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features, units))
        bound = 1 / math.sqrt(features)
        nn.init.uniform_(self.weight, -bound, bound)
        self.bias = nn.Parameter(torch.empty(units).uniform_(-bound, bound)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight.t(), self.bias)
