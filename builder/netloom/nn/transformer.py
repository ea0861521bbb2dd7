"""Parts of Transformers: feed-forward networks, residual sublayers, encoder and decoder blocks."""

import torch
from torch import nn

from netloom.nn.attention import CrossAttention, MultiHeadAttention, SelfAttention


class TransformerEncoderBlock(nn.Module):
    """Self-attention and a feed-forward network, each with a residual connection, (N, T, D) -> (N, T, D).

    The normalization precedes each sublayer (pre-norm, https://arxiv.org/abs/2002.04745) or follows the sum (post-norm,
    https://arxiv.org/abs/1706.03762).
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


class FewHeadsEncoderBlock(TransformerEncoderBlock):
    """A Transformer encoder block with heads of any width, as after some were removed, (N, T, D) -> (N, T, D)."""

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int,
        head_width: int,
        dropout: float = 0.0,
        causal: bool = False,
        norm_first: bool = True,
    ) -> None:
        super().__init__(dim, 1, hidden, dropout, causal, norm_first)
        self.attention = SelfAttention(  # type: ignore[assignment]
            dim, heads, head_width=head_width, dropout=dropout, causal=causal
        )


class FeedForward(nn.Module):
    """Two linear layers around an activation, applied to each step separately, (N, …, D) -> (N, …, D).

    https://arxiv.org/abs/1706.03762, section 3.3
    """

    def __init__(
        self, dim: int, hidden: int, activation: str = "gelu", bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.up = nn.Linear(dim, hidden, bias=bias)
        self.activation = self.build_activation(activation)
        self.dropout = nn.Dropout(dropout)
        self.down = nn.Linear(hidden, dim, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.down(self.dropout(self.activation(self.up(x))))
        return out

    @staticmethod
    def build_activation(activation: str) -> nn.Module:
        """The activation with this name; "gelu_tanh" is the approximation that GPT-2 uses."""
        activations: dict[str, nn.Module] = {
            "gelu": nn.GELU(),
            "gelu_tanh": nn.GELU(approximate="tanh"),
            "relu": nn.ReLU(),
            "silu": nn.SiLU(),
            "sigmoid": nn.Sigmoid(),
        }
        if activation not in activations:
            raise ValueError(f"there is no activation {activation!r}; choose one of {', '.join(activations)}")
        return activations[activation]


class GatedFeedForward(nn.Module):
    """A gated feed-forward network, applied to each step separately, (N, …, D) -> (N, …, D).

    down(activation(gate(x)) · up(x)): SwiGLU with "silu", GeGLU with "gelu". https://arxiv.org/abs/2002.05202
    """

    def __init__(
        self, dim: int, hidden: int, activation: str = "silu", bias: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, hidden, bias=bias)
        self.up = nn.Linear(dim, hidden, bias=bias)
        self.activation = FeedForward.build_activation(activation)
        self.dropout = nn.Dropout(dropout)
        self.down = nn.Linear(hidden, dim, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.down(self.dropout(self.activation(self.gate(x)) * self.up(x)))
        return out


class Sublayer(nn.Module):
    """A residual connection around one part of a block: x + part(norm(x)), or norm(x + part(x)).

    Pre-norm is https://arxiv.org/abs/2002.04745, post-norm https://arxiv.org/abs/1706.03762. The norm is
    "layer" (https://arxiv.org/abs/1607.06450) or "rms" (https://arxiv.org/abs/1910.07467).
    """

    def __init__(
        self,
        part: nn.Module,
        dim: int,
        norm: str = "layer",
        norm_first: bool = True,
        bias: bool = True,
        dropout: float = 0.0,
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        if norm not in ("layer", "rms"):
            raise ValueError(f"there is no norm {norm!r}; choose layer or rms")
        self.norm_first = norm_first
        # RMSNorm has a scale, but no bias.
        self.norm = nn.LayerNorm(dim, epsilon, bias=bias) if norm == "layer" else nn.RMSNorm(dim, epsilon)
        self.part = part
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor
        if self.norm_first:
            out = x + self.dropout(self.part(self.norm(x), *more))
        else:
            out = self.norm(x + self.dropout(self.part(x, *more)))
        return out


class TransformerBlock(nn.Module):
    """Self-attention and a feed-forward network, each with a residual connection, (N, T, D) -> (N, T, D).

    The options cover the blocks of BERT, GPT-2, LLaMA and the encoder of T5. `feed_forward` is an activation,
    or "swiglu" or "geglu".
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int,
        kv_heads: int | None = None,
        head_width: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        causal: bool = False,
        window: int | None = None,
        position: str = "none",
        base: float = 10000.0,
        norm: str = "layer",
        norm_first: bool = True,
        feed_forward: str = "gelu",
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        attention = SelfAttention(dim, heads, kv_heads, head_width, bias, dropout, causal, window, position, base)
        gated = {"swiglu": "silu", "geglu": "gelu"}
        pair: nn.Module
        if feed_forward in gated:
            pair = GatedFeedForward(dim, hidden, gated[feed_forward], bias, dropout)
        else:
            pair = FeedForward(dim, hidden, feed_forward, bias, dropout)
        self.attention = Sublayer(attention, dim, norm, norm_first, bias, dropout, epsilon)
        self.feed_forward = Sublayer(pair, dim, norm, norm_first, bias, dropout, epsilon)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        x = self.attention(x) if mask is None else self.attention(x, mask)
        out: torch.Tensor = self.feed_forward(x)
        return out


class TransformerDecoderBlock(TransformerBlock):
    """Self-attention, cross-attention to a memory and a feed-forward network, (N, T, D), (N, S, E) -> (N, T, D).

    Each has a residual connection. https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self,
        dim: int,
        memory: int,
        heads: int,
        hidden: int,
        kv_heads: int | None = None,
        head_width: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        causal: bool = True,
        position: str = "none",
        norm: str = "layer",
        norm_first: bool = True,
        feed_forward: str = "gelu",
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__(
            dim,
            heads,
            hidden,
            kv_heads,
            head_width,
            bias,
            dropout,
            causal,
            position=position,
            norm=norm,
            norm_first=norm_first,
            feed_forward=feed_forward,
            epsilon=epsilon,
        )
        cross = CrossAttention(dim, memory, heads, kv_heads, head_width, bias, dropout)
        self.cross = Sublayer(cross, dim, norm, norm_first, bias, dropout, epsilon)

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, memory: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        x = self.attention(x)
        # The mask is that of the memory; `causal` hides the future of x.
        x = self.cross(x, memory) if mask is None else self.cross(x, memory, mask)
        out: torch.Tensor = self.feed_forward(x)
        return out
