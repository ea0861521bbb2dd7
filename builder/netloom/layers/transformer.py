"""Transformer blocks, and the feed-forward parts that they are built from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from netloom.layers.attention import Position, TransformerEncoderBlock, check_mask, mask_port, masks, unlike
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec

Bend = Literal["gelu", "gelu_tanh", "relu", "silu"]
Middle = Literal["gelu", "gelu_tanh", "relu", "silu", "swiglu", "geglu"]


class _FeedForward(Layer):
    hidden: int = Field(128, ge=1, le=1_000_000, description="The width in the middle")
    dropout: float = Field(0.0, ge=0, lt=1, description="The share of the middle that is dropped while training")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector", "sequence")),)

    def brief(self) -> str:
        return f"{self.hidden} wide"


class FeedForward(_FeedForward):
    """W₂ f(W₁ x), (N, …, D) -> (N, …, D)."""

    group = "Attention"
    title = "Feed-forward"
    summary = "Two linear layers with an activation between, at each step by itself"
    keywords = ("ffn", "mlp", "position-wise", "transformer", "gelu", "relu")
    url = "https://arxiv.org/abs/1706.03762"

    activation: Bend = Field("gelu", description="What bends the middle; gelu_tanh is the GELU of GPT-2")
    bias: bool = Field(True, description="Whether both add a learned constant")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        options = unlike(self, activation="gelu", bias=True, dropout=0.0)
        return Call("FeedForward", (specs["in"].size(-1), self.hidden), options)


class _Gated(_FeedForward):
    bias: bool = Field(False, description="Whether all three add a learned constant")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        activation = {"SwiGLU": {}, "GeGLU": {"activation": "gelu"}}[type(self).__name__]
        options = {**activation, **unlike(self, bias=False, dropout=0.0)}
        return Call("GatedFeedForward", (specs["in"].size(-1), self.hidden), options)


class SwiGLU(_Gated):
    """W₂ (SiLU(W₁ x) · W₃ x), (N, …, D) -> (N, …, D)."""

    group = "Attention"
    title = "SwiGLU feed-forward"
    summary = "A feed-forward part whose middle is gated by a SiLU, as in Llama"
    keywords = ("ffn", "mlp", "glu", "gated", "swish", "llama", "transformer")
    url = "https://arxiv.org/abs/2002.05202"


class GeGLU(_Gated):
    """W₂ (GELU(W₁ x) · W₃ x), (N, …, D) -> (N, …, D)."""

    group = "Attention"
    title = "GeGLU feed-forward"
    summary = "A feed-forward part whose middle is gated by a GELU, as in Gemma"
    keywords = ("ffn", "mlp", "glu", "gated", "gelu", "gemma", "t5", "transformer")
    url = "https://arxiv.org/abs/2002.05202"


class _Block(TransformerEncoderBlock):
    kv_heads: int | None = Field(
        None, ge=1, le=1_024, description="How many heads of keys and values the heads share; none: each has its own"
    )
    head_width: int | None = Field(None, ge=1, le=65_536, description="The width of a head; none: an even share of D")
    position: Position = Field(
        "none",
        description="How places count: not at all, by turning queries and keys, by a slope per head, by T5's learned "
        "buckets, or by a learned table",
    )
    feed_forward: Middle = Field("gelu", description="The activation between the feed-forward pair, or a gated kind")
    norm: Literal["layer", "rms"] = Field("layer", description="Layer norm, or RMS norm, which only scales")
    bias: bool = Field(True, description="Whether projections and layer norms add a learned constant")
    epsilon: float = Field(1e-5, gt=0, le=1, description="Added in the norms, against division by zero")
    masked: bool = Field(False, description="Whether one more port takes a mask of what is padding")

    def _given(self) -> dict[str, Any]:
        return unlike(
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

    title = "Transformer block with all options"
    summary = "Self-attention and a feed-forward part, made to be those of BERT, GPT-2, Llama or T5"
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
        None, ge=1, le=1_000_000, description="A step sees only those less than so many steps away; none: all"
    )
    base: float = Field(10000.0, ge=1, le=1e9, description="For rotary: the base of the falling frequencies")

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
        options = {**self._given(), **unlike(self, causal=False, window=None, base=10000.0)}
        return Call("TransformerBlock", (specs["in"].size(2), self.heads, self.hidden), options)


class TransformerDecoderBlock(_Block):
    """(N, T, D) and (N, S, E) -> (N, T, D)."""

    title = "Transformer decoder block"
    summary = "Self-attention, attention to another sequence and a feed-forward part, each with a residual and a norm"
    keywords = ("attention", "transformer", "decoder", "cross-attention", "translation", "seq2seq", "t5", "bart")
    url = "https://arxiv.org/abs/1706.03762"

    causal: bool = Field(True, description="Each step sees only itself and what came before, as in text generation")

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
        memory = Port("memory", ("sequence",), "What is looked at, (N, S, E)")
        return (*super().inputs(), memory, *mask_port(self.masked))

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        check_mask(specs, "in", "memory")
        sizes = (specs["in"].size(2), specs["memory"].size(2), self.heads, self.hidden)
        return Call("TransformerDecoderBlock", sizes, {**self._given(), **unlike(self, causal=True)})
