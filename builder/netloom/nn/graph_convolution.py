"""Graph layers, over features of the vertices (N, V, D) and a dense adjacency matrix (N, V, V)."""

import torch
from torch import nn


class GraphConvolution(nn.Module):
    """D⁻½ (A + I) D⁻½ X W + b, (N, V, D), (N, V, V) -> (N, V, units). https://arxiv.org/abs/1609.02907

    D is the sum of the absolute values in each row of A + I, so that edge weights can be negative.
    """

    def __init__(self, dim: int, units: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, units, bias=False)
        self.bias = nn.Parameter(torch.zeros(units)) if bias else None

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.normalize(adjacency) @ self.linear(x)  # (N, V, units)
        return out if self.bias is None else out + self.bias

    @staticmethod
    def normalize(adjacency: torch.Tensor) -> torch.Tensor:
        joined = adjacency + torch.eye(adjacency.shape[-1], dtype=adjacency.dtype, device=adjacency.device)
        scale = joined.abs().sum(dim=-1).clamp(min=1e-12).rsqrt()  # (N, V)
        return scale.unsqueeze(-1) * joined * scale.unsqueeze(-2)


class GraphAttention(nn.Module):
    """Attention of each vertex to its neighbors and itself, (N, V, D), (N, V, V) -> (N, V, heads · units).

    With `mean` the heads are averaged, (N, V, units). Vertex i attends to vertex j if the adjacency is positive at
    (i, j); a value other than 1 multiplies the weight of the edge. https://arxiv.org/abs/1710.10903
    """

    def __init__(self, dim: int, units: int, heads: int = 1, mean: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.mean = heads, mean
        self.linear = nn.Linear(dim, heads * units, bias=False)
        self.target = nn.Parameter(torch.empty(heads, units))
        self.source = nn.Parameter(torch.empty(heads, units))
        nn.init.xavier_uniform_(self.target)
        nn.init.xavier_uniform_(self.source)
        self.bias = nn.Parameter(torch.zeros(units if mean else heads * units))
        self.activation = nn.LeakyReLU(0.2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        features = self.linear(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (N, heads, V, units)
        # aᵀ [W h_i, W h_j] is the sum of a term per target and a term per source: no pairs are concatenated.
        to = (features * self.target.unsqueeze(1)).sum(dim=3)  # (N, heads, V)
        come = (features * self.source.unsqueeze(1)).sum(dim=3)  # (N, heads, V)
        scores = self.activation(to.unsqueeze(3) + come.unsqueeze(2))  # (N, heads, V, V)
        mixed = self.dropout(self.weights(scores, adjacency)) @ features
        joined = mixed.mean(dim=1) if self.mean else mixed.transpose(1, 2).flatten(2)
        out: torch.Tensor = joined + self.bias
        return out

    @staticmethod
    def weights(scores: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        """The softmax over the neighbors of each vertex, (N, heads, V, V), each term times its edge weight."""
        # Every vertex has at least an edge to itself, so that no softmax is over an empty set.
        itself = torch.eye(adjacency.shape[-1], dtype=adjacency.dtype, device=adjacency.device)
        edges = torch.maximum(adjacency.clamp(min=0.0), itself).unsqueeze(1)  # (N, 1, V, V)
        scores = scores.masked_fill(edges == 0, float("-inf"))
        # The maximum is subtracted so that exp does not overflow; it cancels, so it needs no gradient.
        shares = edges * (scores - scores.amax(dim=-1, keepdim=True).detach()).exp()
        return shares / shares.sum(dim=-1, keepdim=True)
