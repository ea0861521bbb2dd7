"""Handwritten attention modules, without an attention layer in the file."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

STEPS, WIDTH, HEADS = 6, 16, 4


def split_heads(x: torch.Tensor, count: int = HEADS) -> torch.Tensor:
    return x.view(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


class Writer(nn.Module):
    """A GPT-2 block: one layer for queries, keys and values, and a causal mask in a buffer."""

    seen: torch.Tensor

    def __init__(self, masking: str) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.feed, self.back, self.drop = nn.Linear(WIDTH, 32), nn.Linear(32, WIDTH), nn.Dropout(0.1)
        self.way, self.weights = masking, torch.zeros(0)
        self.register_buffer("seen", torch.ones(1, 1, STEPS, STEPS, dtype=torch.bool).tril())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = map(split_heads, self.qkv(self.norm(x)).split(WIDTH, dim=2))
        if self.way == "where":
            scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
            scores = torch.where(self.seen, scores, torch.full([], torch.finfo(scores.dtype).min))
        elif self.way == "fill":
            scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(k.size(-1)))
            scores = scores.masked_fill(~self.seen, float("-inf"))
        else:
            future = torch.full((STEPS, STEPS), float("-inf")).triu(1)
            scores = (q * 0.5) @ k.transpose(-2, -1) + future
        self.weights = scores.softmax(-1)
        mixed = (self.drop(self.weights) @ v).transpose(1, 2).reshape(x.shape)
        x = x + self.drop(self.out(mixed))
        result: torch.Tensor = x + self.back(F.gelu(self.feed(x), approximate="tanh"))
        return result


class Reader(nn.Module):
    """A BERT block: separate layers for queries, keys and values, and padding masked by large negative numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.dense, self.norm, self.drop = nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.Dropout(0.1)
        self.feed, self.back, self.end = nn.Linear(WIDTH, 32), nn.Linear(32, WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor | None) -> torch.Tensor:
        q, k, v = split_heads(self.query(x)), split_heads(self.key(x)), split_heads(self.value(x))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        weights = self.drop((scores if hidden is None else scores + hidden).softmax(-1))
        mixed = (weights @ v).permute(0, 2, 1, 3).contiguous().flatten(2)
        x = self.norm(self.dense(mixed) + x)
        result: torch.Tensor = self.end(self.back(F.gelu(self.feed(x))) + x)
        return result


class Writers(nn.Module):
    def __init__(self, masking: str, count: int = 3) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(30, WIDTH), nn.Embedding(STEPS, WIDTH)
        self.blocks = nn.ModuleList(Writer(masking) for _ in range(count))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        result: torch.Tensor = x @ self.tokens.weight.t()
        return result


class Readers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(30, WIDTH)
        self.layers, self.pool = nn.ModuleList(Reader() for _ in range(3)), nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = (1.0 - mask[:, None, None, :]) * torch.finfo(torch.float32).min
        x = self.tokens(tokens)
        for layer in self.layers:
            x = layer(x, hidden)
        return torch.tanh(self.pool(x[:, 0]))


class Shared(nn.Module):
    """F.scaled_dot_product_attention, optionally with grouped queries."""

    def __init__(self, gqa: bool, causal: bool = False) -> None:
        super().__init__()
        self.count, self.causal = HEADS // 2 if gqa else HEADS, causal
        self.q, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.k, self.v = (nn.Linear(WIDTH, WIDTH // HEADS * self.count) for _ in range(2))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        q, k, v = split_heads(self.q(x)), split_heads(self.k(x), self.count), split_heads(self.v(x), self.count)
        attention_mask = None if mask is None else mask[:, None, None, :].bool()
        mixed = F.scaled_dot_product_attention(
            q, k, v, attention_mask, is_causal=self.causal, enable_gqa=self.count < HEADS
        )
        result: torch.Tensor = x + self.out(mixed.transpose(1, 2).reshape(x.shape))
        return result


class Multihead(nn.Module):
    """nn.MultiheadAttention, batch first or sequence first."""

    def __init__(self, first: bool, cross: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.attend, self.first, self.cross = (
            nn.MultiheadAttention(WIDTH, HEADS, batch_first=first, bias=bias),
            first,
            cross,
        )
        for part in self.attend.parameters():
            nn.init.normal_(part, std=0.3)

    def forward(self, x: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
        first = x if self.first else x.transpose(0, 1)
        second_input = first if memory is None else memory if self.first else memory.transpose(0, 1)
        attended = self.attend(first, second_input, second_input, need_weights=self.cross)[0]
        result: torch.Tensor = x + (attended if self.first else attended.transpose(0, 1))
        return result


class Biased(nn.Module):
    """Attention with a learned bias per head, as in T5; the catalog has no layer for it."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.bias = nn.Parameter(torch.randn(1, HEADS, STEPS, STEPS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = map(split_heads, self.qkv(x).split(WIDTH, dim=2))
        mixed = (q @ k.transpose(-1, -2) + self.bias).softmax(-1) @ v
        result: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(x.shape))
        return result
