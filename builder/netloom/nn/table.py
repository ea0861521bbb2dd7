"""Layers for tables: embeddings of columns, and interactions between columns. F is the number of columns."""

import torch
from torch import nn


class CategoricalEmbedding(nn.Module):
    """A learned vector per value of each categorical column, integers (N, F) -> (N, F, dim).

    Column f holds 0 to sizes[f] − 1. The columns share one embedding table, each with its range of rows.
    """

    sizes: torch.Tensor
    offsets: torch.Tensor

    def __init__(self, sizes: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(sum(sizes), dim)
        # Not saved with the weights, as both follow from the sizes
        self.register_buffer("sizes", torch.tensor(sizes), persistent=False)
        self.register_buffer("offsets", torch.tensor([sum(sizes[:end]) for end in range(len(sizes))]), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Without this check, a value too large for its column would read a row of the next one. An index beyond the
        # table makes nn.Embedding raise.
        is_known = (x >= 0) & (x < self.sizes)
        out: torch.Tensor = self.table(torch.where(is_known, x + self.offsets, self.table.num_embeddings))
        return out


class HashedEmbedding(nn.Module):
    """A learned vector for the remainder of each integer modulo `buckets`, (N, …) -> (N, …, dim).

    Integers with the same remainder share a vector, so that their range is unlimited. https://arxiv.org/abs/0902.2206
    """

    def __init__(self, buckets: int, dim: int) -> None:
        super().__init__()
        self.buckets = buckets
        self.table = nn.Embedding(buckets, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.table(x.remainder(self.buckets))
        return out


class NumericalEmbedding(nn.Module):
    """Each number times a learned vector of its column, plus a learned bias, (N, F) -> (N, F, dim).

    https://arxiv.org/abs/2106.11959
    """

    def __init__(self, columns: int, dim: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(columns, dim).uniform_(-(dim**-0.5), dim**-0.5))
        self.bias = nn.Parameter(torch.empty(columns, dim).uniform_(-(dim**-0.5), dim**-0.5)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = x.unsqueeze(2) * self.weight
        return out if self.bias is None else out + self.bias


class FactorizationMachine(nn.Module):
    """The sum of the products of all pairs of columns, (N, F, K) -> (N, K), or its total, (N, 1).

    Computed as half of (Σ v)² − Σ v², in time linear in F. https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf
    """

    def __init__(self, total: bool = True) -> None:
        super().__init__()
        self.total = total

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = 0.5 * (x.sum(dim=1).square() - x.square().sum(dim=1))
        return pairs.sum(dim=1, keepdim=True) if self.total else pairs


class PairwiseInteraction(nn.Module):
    """The dot product of each pair of columns, (N, F, K) -> (N, F (F − 1) / 2). https://arxiv.org/abs/1906.00091"""

    first: torch.Tensor
    second: torch.Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        first, second = torch.triu_indices(columns, columns, 1)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ x.transpose(1, 2))[:, self.first, self.second]  # each pair once, from above the diagonal


class CrossInteraction(nn.Module):
    """first · (W x + b) + x, one layer of a cross network, (N, D), (N, D) -> (N, D). https://arxiv.org/abs/2008.13535

    With `rank`, W is a product of two matrices of that rank.
    """

    def __init__(self, dim: int, rank: int | None = None) -> None:
        super().__init__()
        self.linear: nn.Module = nn.Linear(dim, dim)
        if rank is not None:
            self.linear = nn.Sequential(nn.Linear(dim, rank, bias=False), nn.Linear(rank, dim))

    def forward(self, first: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = first * self.linear(x)
        return product + x


class CrossNetwork(nn.Module):
    """Products of features up to the degree `layers` + 1, (N, D) -> (N, D). https://arxiv.org/abs/2008.13535"""

    def __init__(self, dim: int, layers: int, rank: int | None = None) -> None:
        super().__init__()
        self.steps = nn.ModuleList(CrossInteraction(dim, rank) for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = x
        for step in self.steps:
            x = step(first, x)
        return x
