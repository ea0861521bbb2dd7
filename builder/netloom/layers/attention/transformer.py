"""Transformer blocks and their feed-forward networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from netloom.layers.attention.attention import (
    KeyValueHeads,
    Position,
    TransformerEncoderBlock,
    changed_options,
    check_mask,
    head_width,
    hidden_width,
    mask_port,
    masks,
)
from netloom.layers.channels import Channels
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Literals, Port, TensorSpec

Bend = Literal["gelu", "gelu_tanh", "relu", "silu"]
Middle = Literal["gelu", "gelu_tanh", "relu", "silu", "swiglu", "geglu"]


class _FeedForward(Layer):
    hidden: int = Field(128, ge=1, le=1_000_000, description="Hidden size")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability of the hidden units in training")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector", "sequence")),)

    def brief(self) -> str:
        return f"{self.hidden} wide"


class FeedForward(_FeedForward):
    """W₂ f(W₁ x), (N, …, D) -> (N, …, D)."""

    group = "Attention"
    title = "Feed-forward"
    summary = "Two linear layers with an activation between them, applied to each step separately"
    keywords = ("ffn", "mlp", "position-wise", "transformer", "gelu", "relu")
    url = "https://arxiv.org/abs/1706.03762"

    activation: Bend = Field("gelu", description="Activation; gelu_tanh is the approximation that GPT-2 uses")
    bias: bool = Field(True, description="Add learned biases")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        options = changed_options(self, activation="gelu", bias=True, dropout=0.0)
        return Call("FeedForward", (specs["in"].size(-1), self.hidden), options)

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        return Channels(widths=(hidden_width(self.hidden, ("up",), "down", self.bias),))


class _Gated(_FeedForward):
    bias: bool = Field(False, description="Add learned biases")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        activation = {"SwiGLU": {}, "GeGLU": {"activation": "gelu"}}[type(self).__name__]
        options = {**activation, **changed_options(self, bias=False, dropout=0.0)}
        return Call("GatedFeedForward", (specs["in"].size(-1), self.hidden), options)

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        return Channels(widths=(hidden_width(self.hidden, ("gate", "up"), "down", self.bias),))


class SwiGLU(_Gated):
    """W₂ (SiLU(W₁ x) · W₃ x), (N, …, D) -> (N, …, D)."""

    group = "Attention"
    title = "SwiGLU feed-forward"
    summary = "A feed-forward network with a SiLU gate, as in Llama"
    keywords = ("ffn", "mlp", "glu", "gated", "swish", "llama", "transformer")
    url = "https://arxiv.org/abs/2002.05202"


class GeGLU(_Gated):
    """W₂ (GELU(W₁ x) · W₃ x), (N, …, D) -> (N, …, D)."""

    group = "Attention"
    title = "GeGLU feed-forward"
    summary = "A feed-forward network with a GELU gate, as in Gemma"
    keywords = ("ffn", "mlp", "glu", "gated", "gelu", "gemma", "t5", "transformer")
    url = "https://arxiv.org/abs/2002.05202"


class _Block(TransformerEncoderBlock):
    own_initialization = ("place",)  # biases of positions
    residual_weights: ClassVar[tuple[str, ...]] = ("attention.part.out.weight", "feed_forward.part.down.weight")
    is_common = False

    kv_heads: KeyValueHeads = None
    position: Position = Field(
        "none",
        description="Position encoding: none, rotary (RoPE), alibi (a bias per head that is linear in the distance), "
        "buckets (T5's relative bias), or table (a learned bias per distance)",
    )
    feed_forward: Middle = Field("gelu", description="Activation of the feed-forward network, or a gated variant")
    norm: Literal["layer", "rms"] = Field(
        "layer", description="Layer norm, or RMS norm, which scales without centering"
    )
    bias: bool = Field(True, description="Add learned biases in projections and layer norms")
    epsilon: float = Field(1e-5, gt=0, le=1, description="Added in the norms for numerical stability (ε)")
    masked: bool = Field(False, description="Add a port for a padding mask")

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        projections = ("gate", "up") if self.feed_forward in ("swiglu", "geglu") else ("up",)
        paths = tuple(f"feed_forward.part.{name}" for name in projections)
        return Channels(widths=(hidden_width(self.hidden, paths, "feed_forward.part.down", self.bias),))

    def _shared_options(self) -> dict[str, Literals]:
        return changed_options(
            self,
            kv_heads=None,
            head_width=None,
            bias=True,
            dropout=0.0,
            position="none",
            norm="layer",
            norm_first=True,
            feed_forward="gelu",
            epsilon=1e-5,
        )


class TransformerBlock(_Block):
    """(N, T, D) -> (N, T, D)."""

    title = "Transformer block (all options)"
    summary = "Self-attention and a feed-forward network with the options of BERT, GPT-2, Llama and T5"
    keywords = (
        "attention",
        "transformer",
        "encoder",
        "bert",
        "gpt",
        "gpt-2",
        "llama",
        "mistral",
        "t5",
        "rms",
        "swiglu",
    )
    url = "https://arxiv.org/abs/1706.03762"

    window: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Attention window: each step attends to steps less than this distance away; empty: to all steps",
    )
    base: float = Field(10000.0, ge=1, le=1e9, description="For rotary: base of the frequencies (θ)")

    @classmethod
    def examples(cls) -> list[Example]:
        sequence = SAMPLES["sequence"]
        llama = {"norm": "rms", "feed_forward": "swiglu", "position": "rotary", "bias": False, "kv_heads": 2}
        bert = {"norm_first": False, "masked": True, "dropout": 0.1}
        return [
            Example(inputs={"in": sequence}),
            Example({**llama, "causal": True}, {"in": sequence}),
            Example(bert, {"in": sequence, "mask": masks(8)}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return (*super().inputs(), *mask_port(self.masked))

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        check_mask(specs, "in", "in")
        options = {**self._shared_options(), **changed_options(self, causal=False, window=None, base=10000.0)}
        return Call("TransformerBlock", (specs["in"].size(2), self.heads, self.hidden), options)

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        shared, dim = (self.kv_heads, self.position, self.bias), specs["in"].size(2)
        heads = head_width(dim, self.heads, self.head_width, *shared, part="attention.part.")
        return Channels(widths=(*super().channels(specs).widths, *heads))


class TransformerDecoderBlock(_Block):
    """(N, T, D) and (N, S, E) -> (N, T, D)."""

    title = "Transformer decoder block"
    summary = "Self-attention, cross-attention and a feed-forward network, each with a residual connection and a norm"
    keywords = ("attention", "transformer", "decoder", "cross-attention", "translation", "seq2seq", "t5", "bart")
    url = "https://arxiv.org/abs/1706.03762"

    residual_weights = (*_Block.residual_weights, "cross.part.out.weight")

    causal: bool = Field(
        True, description="Causal mask: each step attends only to itself and earlier steps, as in text generation"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        ports = {"in": SAMPLES["sequence"], "memory": TensorSpec((None, 5, 12))}
        t5 = {"norm": "rms", "feed_forward": "relu", "bias": False, "position": "buckets", "masked": True}
        return [
            Example(inputs=ports),
            Example({"norm_first": False, "causal": False}, ports),
            Example(t5, {**ports, "mask": masks(5)}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        memory = Port("memory", ("sequence",), "Memory (keys and values), (N, S, E)")
        return (*super().inputs(), memory, *mask_port(self.masked))

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        # The mask is for the memory; self-attention in the block is masked by `causal` only.
        check_mask(specs, "in", "memory")
        sizes = (specs["in"].size(2), specs["memory"].size(2), self.heads, self.hidden)
        return Call("TransformerDecoderBlock", sizes, {**self._shared_options(), **changed_options(self, causal=True)})
