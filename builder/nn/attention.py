"""Attention whose weights can be read, and what is built on it."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class MultiHeadAttention(nn.Module):
    """Scaled dot-product self-attention with several heads, (N, T, D) -> (N, T, D).

    While `capture` is true, each forward leaves the exact weights of every head in `attention`, (N, heads, T, T); the
    output does not change by it. https://arxiv.org/abs/1706.03762
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(
                f"{heads} heads cannot share a width of {dim} evenly; take a number of heads that divides it"
            )
        self.heads, self.dropout, self.causal = heads, dropout, causal
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.capture = False
        self.attention: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (self.split(project(x)) for project in (self.q, self.k, self.v))  # (N, heads, T, D / heads)
        if self.capture:
            self.attention = self.weights(q, k)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=self.causal)
        out: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def split(self, x: torch.Tensor) -> torch.Tensor:
        batch, steps, dim = x.shape
        return x.view(batch, steps, self.heads, dim // self.heads).transpose(1, 2)

    def weights(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if self.causal:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(future, float("-inf"))
        return scores.softmax(dim=-1)


class TransformerEncoderBlock(nn.Module):
    """Self-attention and a feed-forward pair, each around a residual, (N, T, D) -> (N, T, D).

    The normalisation comes first, as in https://arxiv.org/abs/2002.04745, or after the sum, as in
    https://arxiv.org/abs/1706.03762.
    """

    def __init__(
        self, dim: int, heads: int, hidden: int, dropout: float = 0.0, causal: bool = False, norm_first: bool = True
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = MultiHeadAttention(dim, heads, dropout, causal)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
        )
        self.dropout1 = nn.Dropout(dropout)
        self.dropout2 = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.norm_first:
            x = x + self.dropout1(self.attention(self.norm1(x)))
            x = x + self.dropout2(self.feed_forward(self.norm2(x)))
        else:
            x = self.norm1(x + self.dropout1(self.attention(x)))
            x = self.norm2(x + self.dropout2(self.feed_forward(x)))
        return x


class PositionalEmbedding(nn.Module):
    """Adds to each step a vector that says where it stands, (N, T, D) -> (N, T, D).

    The vectors are learned, or sines of falling frequency. T may be shorter than `length`, never
    longer. https://arxiv.org/abs/1706.03762
    """

    weight: torch.Tensor

    def __init__(self, length: int, dim: int, learned: bool = True) -> None:
        super().__init__()
        if learned:
            self.weight = nn.Parameter(torch.randn(length, dim) * 0.02)
        else:
            self.register_buffer("weight", self.sines(length, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.weight[: x.shape[1]]

    @staticmethod
    def sines(length: int, dim: int) -> torch.Tensor:
        position = torch.arange(length).unsqueeze(1)  # (length, 1)
        rate = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))  # (dim / 2,)
        angles = position * rate
        return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[:, :dim]
