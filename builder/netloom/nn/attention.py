"""Attention layers whose weights can be captured."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from netloom.nn.position import AlibiBias, RelativeBuckets, RelativeTable, RotaryPosition


class MultiHeadAttention(nn.Module):
    """Scaled dot-product self-attention with several heads, (N, T, D) -> (N, T, D).

    While `capture` is true, each forward stores the exact weights of every head in `attention`, (N, heads, T, T),
    without changing the output. https://arxiv.org/abs/1706.03762
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(
                f"{heads} heads cannot divide a width of {dim} evenly; choose a number of heads that divides it"
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
            # The fused kernel below does not return its weights, so they are computed a second time.
            self.attention = self.weights(q, k)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=self.causal)
        out: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def split(self, x: torch.Tensor) -> torch.Tensor:
        batch, steps, dim = x.shape
        return x.view(batch, steps, self.heads, dim // self.heads).transpose(1, 2)  # (N, heads, T, D / heads)

    def weights(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (N, heads, T, T)
        if self.causal:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(future, float("-inf"))
        return scores.softmax(dim=-1)


class DotProductAttention(nn.Module):
    """Attention without parameters: queries (N, T, D), keys (N, S, D) and values (N, S, E) -> (N, T, E).

    The features are split evenly over the heads. A mask, (N, S) or (N, T, S), is 1 where a query may attend to a key
    and 0 where it may not; values in between reduce the weight of a key. The output is zero for a query whose keys are
    all masked. With a `window`, each step attends only to steps that are fewer than `window` steps away. While
    `capture` is true, each forward stores the exact weights of every head in `attention`, (N, heads, T, S), without
    changing the output. https://arxiv.org/abs/1706.03762
    """

    # Whether queries and keys are always steps of the same sequence (self-attention).
    within = False

    def __init__(self, heads: int, dropout: float = 0.0, causal: bool = False, window: int | None = None) -> None:
        super().__init__()
        self.heads, self.dropout, self.causal, self.window = heads, dropout, causal, window
        self.place: nn.Module | None = None
        self.capture = False
        self.attention: torch.Tensor | None = None

    def forward(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        return self.attend(self.split(q), self.split(k), self.split(v), mask)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] % self.heads:
            raise ValueError(
                f"{self.heads} heads cannot divide a width of {x.shape[2]} evenly; choose a number of heads that "
                "divides it"
            )
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)  # (N, heads, T, D / heads)

    def attend(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The outputs of the heads, concatenated: (N, heads, T or S, width) -> (N, T, heads × width)."""
        bias, blind = self.bias(q, k, mask)
        if self.capture:
            # The fused kernel below does not return its weights, so they are computed a second time.
            self.attention = self.weights(q, k, bias, blind)
        dropout = self.dropout if self.training else 0.0
        causal = self.causal and bias is None  # a bias already hides the future; PyTorch refuses both together
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout, is_causal=causal)
        if blind is not None:
            mixed = mixed.masked_fill(blind, 0.0)
        return mixed.transpose(1, 2).flatten(2)

    def bias(
        self, q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """The bias of the scores, (N or 1, heads or 1, T, S), and the queries whose keys are all masked, (N, 1, T, 1).

        Both are None if at most the future is hidden: then PyTorch needs no mask and can use its fastest kernel.
        """
        if self.window is None and self.place is None and mask is None:
            return None, None
        steps = torch.arange(q.shape[2], device=q.device).unsqueeze(1)
        distance = steps - torch.arange(k.shape[2], device=q.device)  # (T, S)
        hidden = (distance < 0) & self.causal  # a future key has a negative distance
        if self.window is not None:
            hidden = hidden | (distance.abs() >= self.window)
        bias = q.new_zeros(1, 1, *distance.shape)
        if self.place is not None:
            bias = bias + self.place(q, k).to(q.dtype)
        if mask is None:
            return bias.masked_fill(hidden, float("-inf")), None
        mask = mask.unsqueeze(1).unsqueeze(1) if mask.dim() == 2 else mask.unsqueeze(1)  # (N, 1, 1 or T, S)
        # exp(score + log m) = m · exp(score), so a mask value m between 0 and 1 scales the weight of its key.
        bias = bias + mask.clamp(min=torch.finfo(mask.dtype).tiny).log().to(q.dtype)
        hidden = hidden | (mask <= 0)
        # The softmax of a row of −inf is NaN, so such rows stay finite here and `attend` sets them to zero.
        blind = hidden.all(dim=-1, keepdim=True)
        return bias.masked_fill(hidden & ~blind, float("-inf")), blind

    def weights(
        self, q: torch.Tensor, k: torch.Tensor, bias: torch.Tensor | None, blind: torch.Tensor | None
    ) -> torch.Tensor:
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (N, heads, T, S)
        if bias is not None:
            scores = scores + bias
        elif self.causal:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(future, float("-inf"))
        weights = scores.softmax(dim=-1)
        return weights if blind is None else weights.masked_fill(blind, 0.0)


class CrossAttention(DotProductAttention):
    """Multi-head attention from one sequence to another, (N, T, D), (N, S, E) -> (N, T, D).

    `kv_heads` is the number of key and value heads, which the query heads share: 1 is multi-query attention
    (https://arxiv.org/abs/1911.02150), a larger number is grouped-query attention (https://arxiv.org/abs/2305.13245).
    """

    def __init__(
        self,
        dim: int,
        memory: int,
        heads: int,
        kv_heads: int | None = None,
        head_width: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        causal: bool = False,
        window: int | None = None,
    ) -> None:
        super().__init__(heads, dropout, causal, window)
        if head_width is None and dim % heads:
            raise ValueError(
                f"{heads} heads cannot divide a width of {dim} evenly; choose a number of heads that divides it"
            )
        shared = heads if kv_heads is None else kv_heads
        if heads % shared:
            raise ValueError(
                f"{heads} heads cannot share {shared} key and value heads evenly; choose a number that divides {heads}"
            )
        self.width = dim // heads if head_width is None else head_width
        self.q = nn.Linear(dim, heads * self.width, bias=bias)
        self.k = nn.Linear(memory, shared * self.width, bias=bias)
        self.v = nn.Linear(memory, shared * self.width, bias=bias)
        self.out = nn.Linear(heads * self.width, dim, bias=bias)

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, memory: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        mixed = self.attend(self.split(self.q(x)), self.split(self.k(memory)), self.split(self.v(memory)), mask)
        out: torch.Tensor = self.out(mixed)
        return out

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, projected heads × width) -> (N, heads, T, width); key and value heads are repeated for their group."""
        heads = x.shape[2] // self.width
        parts = x.reshape(*x.shape[:2], heads, self.width).transpose(1, 2)
        return parts if heads == self.heads else parts.repeat_interleave(self.heads // heads, dim=1)


class SelfAttention(CrossAttention):
    """Multi-head self-attention with a choice of position encoding, (N, T, D) -> (N, T, D).

    `position` is "none", "rotary" (https://arxiv.org/abs/2104.09864), "alibi" (https://arxiv.org/abs/2108.12409),
    "buckets" as in T5 (https://arxiv.org/abs/1910.10683) or "table", a learned bias per distance up to `reach`.
    """

    within = True

    def __init__(
        self,
        dim: int,
        heads: int,
        kv_heads: int | None = None,
        head_width: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        causal: bool = False,
        window: int | None = None,
        position: str = "none",
        base: float = 10000.0,
        buckets: int = 32,
        reach: int = 128,
    ) -> None:
        super().__init__(dim, dim, heads, kv_heads, head_width, bias, dropout, causal, window)
        if position == "rotary" and self.width % 2:
            raise ValueError(
                f"rotary position embedding rotates pairs of features, but each of the {heads} heads has the odd "
                f"width {self.width}; choose a number of heads that gives an even width"
            )
        self.turn_q = RotaryPosition(base) if position == "rotary" else nn.Identity()
        self.turn_k = RotaryPosition(base) if position == "rotary" else nn.Identity()
        if position == "alibi":
            self.place = AlibiBias(heads)
        elif position == "buckets":
            self.place = RelativeBuckets(heads, buckets, reach, both_sides=not causal)
        elif position == "table":
            self.place = RelativeTable(heads, reach)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:  # type: ignore[override]
        q, k = self.turn_q(self.split(self.q(x))), self.turn_k(self.split(self.k(x)))
        out: torch.Tensor = self.out(self.attend(q, k, self.split(self.v(x)), mask))
        return out


class LinearAttention(CrossAttention):
    """Self-attention with weights φ(q)·φ(k) instead of a softmax, φ = ELU + 1, (N, T, D) -> (N, T, D).

    The cost is linear in T. https://arxiv.org/abs/2006.16236
    """

    within = True

    def __init__(self, dim: int, heads: int, bias: bool = True, causal: bool = False, chunk: int = 64) -> None:
        super().__init__(dim, dim, heads, bias=bias, causal=causal)
        self.chunk = chunk
        self.feature_q = nn.ELU()
        self.feature_k = nn.ELU()

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:  # type: ignore[override]
        q = self.feature_q(self.split(self.q(x))) + 1.0  # positive, as weights must be
        k = self.feature_k(self.split(self.k(x))) + 1.0
        v = self.split(self.v(x))
        if mask is not None:
            k = k * mask.clamp(min=0.0)[:, None, :, None]  # weights are linear in φ(k), so this scales them
        if self.capture:
            self.attention = self.shares(q, k)
        v = torch.cat((v, torch.ones_like(v[..., :1])), dim=-1)  # the last column sums the weights
        total = self.causal_sums(q, k, v) if self.causal else q @ (k.transpose(-2, -1) @ v)
        # The sum of the weights is 0 if all keys are masked; the output is then 0 instead of NaN.
        mixed = total[..., :-1] / total[..., -1:].clamp(min=torch.finfo(total.dtype).tiny)
        out: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def causal_sums(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The causal sum over keys and values up to each query, (N, heads, T, width + 1).

        A running sum of k vᵀ per step would need T matrices of (width, width + 1). Chunks need one each: a query adds
        the sum of the earlier chunks and the scores within its chunk.
        """
        steps = q.shape[2]
        size = min(self.chunk, steps)
        q, k, v = (self.chunks(part, size) for part in (q, k, v))
        sums = (k.transpose(-2, -1) @ v).cumsum(dim=2)  # (N, heads, chunks, width, width + 1)
        before = F.pad(sums[:, :, :-1], (0, 0, 0, 0, 1, 0))  # chunk i reads the sums of chunks 0 to i − 1
        total = q @ before + (q @ k.transpose(-2, -1)).tril() @ v
        return total.flatten(2, 3)[:, :, :steps]

    @staticmethod
    def chunks(x: torch.Tensor, size: int) -> torch.Tensor:
        """(N, heads, T, width) -> (N, heads, chunks, size, width), padded with zeros at the end."""
        padded = F.pad(x, (0, 0, 0, -x.shape[2] % size))
        return padded.reshape(*x.shape[:2], -1, size, x.shape[3])

    def shares(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        scores = q @ k.transpose(-2, -1)
        scores = scores.tril() if self.causal else scores
        return scores / scores.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)


class AdditiveAttention(DotProductAttention):
    """Attention to a memory with the scores vᵀ tanh(W q + U k), (N, T, D), (N, S, E) -> (N, T, E).

    https://arxiv.org/abs/1409.0473
    """

    def __init__(self, dim: int, memory: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__(1, dropout)
        self.q = nn.Linear(dim, hidden)
        self.k = nn.Linear(memory, hidden, bias=False)  # the bias of `q` is added to the same sum
        self.bend = nn.Tanh()
        self.score = nn.Linear(hidden, 1, bias=False)
        self.softmax = nn.Softmax(dim=-1)
        self.drop = nn.Dropout(dropout)

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, memory: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        q, k = self.q(x), self.k(memory)
        scores = self.score(self.bend(q.unsqueeze(2) + k.unsqueeze(1))).squeeze(-1)  # (N, T, S)
        bias, blind = self.bias(q.unsqueeze(1), k.unsqueeze(1), mask)
        weights = self.softmax(scores if bias is None else scores + bias.squeeze(1))
        if blind is not None:
            weights = weights.masked_fill(blind.squeeze(1), 0.0)
        if self.capture:
            self.attention = weights.unsqueeze(1)
        out: torch.Tensor = self.drop(weights) @ memory
        return out


class AttentionPooling(nn.Module):
    """The mean of all steps, weighted by the softmax of a learned score vᵀ tanh(W x + b), (N, T, D) -> (N, D).

    https://aclanthology.org/N16-1174/
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, hidden)
        self.bend = nn.Tanh()
        self.score = nn.Linear(hidden, 1, bias=False)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        scores = self.score(self.bend(self.project(x)))  # (N, T, 1)
        if mask is None:
            shares = self.softmax(scores)
        else:
            mask = mask.clamp(min=0.0).unsqueeze(2)  # (N, T, 1)
            # The least finite number instead of −inf, whose softmax is NaN where all steps are masked.
            shares = self.softmax(scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)) * mask
            shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)
        out: torch.Tensor = (shares * x).sum(dim=1)
        return out
