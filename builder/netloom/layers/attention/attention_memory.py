"""Attention to another sequence, attention of given queries, keys and values, and attention pooling."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.attention.attention import (
    HeadWidth,
    KeyValueHeads,
    changed_options,
    check_mask,
    head_width,
    key_port,
    mask_port,
    masks,
)
from netloom.layers.channels import Channels
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec


class CrossAttention(Layer):
    """(N, T, D) and (N, S, E) -> (N, T, D)."""

    group = "Attention"
    title = "Cross-attention"
    summary = "Each step of one sequence attends to the steps of another sequence"
    keywords = ("attention", "encoder-decoder", "memory", "transformer", "heads", "context")
    url = "https://arxiv.org/abs/1706.03762"
    attention_queries = "steps"

    heads: int = Field(4, ge=1, le=1_024, description="Number of attention heads; must divide the width D")
    kv_heads: KeyValueHeads = None
    head_width: HeadWidth = None
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability of the attention weights in training")
    bias: bool = Field(True, description="Add a learned bias in the projections")
    masked: bool = Field(False, description="Add a third port for a padding mask of the memory")

    @classmethod
    def examples(cls) -> list[Example]:
        ports = {"in": SAMPLES["sequence"], "memory": TensorSpec((None, 5, 12))}
        return [
            Example(inputs=ports),
            Example({"masked": True, "kv_heads": 2, "bias": False}, {**ports, "mask": masks(5)}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        queries = Port("in", ("sequence",), "Queries, (N, T, D)")
        return (queries, Port("memory", ("sequence",), "Memory (keys and values), (N, S, E)"), *mask_port(self.masked))

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        check_mask(specs, "in", "memory")
        options = changed_options(self, kv_heads=None, head_width=None, bias=True, dropout=0.0)
        return Call("CrossAttention", (specs["in"].size(2), specs["memory"].size(2), self.heads), options)

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        dim = specs["in"].size(2)
        return Channels(widths=head_width(dim, self.heads, self.head_width, self.kv_heads, bias=self.bias))

    def brief(self) -> str:
        return f"{self.heads} heads{f' on {self.kv_heads}' if self.kv_heads else ''}"


class DotProductAttention(Layer):
    """(N, T, D), (N, S, D) and (N, S, E) -> (N, T, E), softmax(QKᵀ/√d) V per head."""

    group = "Attention"
    title = "Dot-product attention"
    summary = "Scaled dot-product attention of given queries, keys and values, without parameters"
    keywords = ("scaled", "attention", "query", "key", "value", "qkv", "transformer")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html"
    attention_queries = "steps"

    heads: int = Field(1, ge=1, le=1_024, description="Number of attention heads; must divide the widths")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability of the attention weights in training")
    causal: bool = Field(
        False, description="Causal mask: each step attends only to itself and earlier steps, as in text generation"
    )
    masked: bool = Field(False, description="Add a fourth port for a padding mask of the keys")

    @classmethod
    def examples(cls) -> list[Example]:
        short = TensorSpec((None, 5, 16))
        ports = {"q": SAMPLES["sequence"], "k": short, "v": TensorSpec((None, 5, 12))}
        return [
            Example(inputs={"q": short, "k": short, "v": short}),
            Example({"heads": 4, "masked": True}, {**ports, "mask": masks(5)}),
            Example({"heads": 2, "masked": True}, {**ports, "mask": TensorSpec((None, 8, 5))}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("q", ("sequence",), "Queries, (N, T, D)"),
            Port("k", ("sequence",), "Keys, (N, S, D)"),
            Port("v", ("sequence",), "Values, (N, S, E)"),
            *mask_port(self.masked),
        )

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        q, k, v = specs["q"], specs["k"], specs["v"]
        if q.size(2) != k.size(2):
            raise ValueError(
                f"the queries {q} and the keys {k} must have the same width; put a Linear before one of them"
            )
        if k.size(1) != v.size(1):
            raise ValueError(f"the keys {k} and the values {v} must have the same number of steps")
        if self.causal and q.size(1) != k.size(1):
            raise ValueError(f"causal needs the same number of queries and keys, received {q} and {k}; turn causal off")
        check_mask(specs, "q", "k")
        return Call("DotProductAttention", (self.heads,), changed_options(self, dropout=0.0, causal=False))

    def brief(self) -> str:
        return f"{self.heads} heads{', causal' if self.causal else ''}"


class AdditiveAttention(Layer):
    """(N, T, D) and (N, S, E) -> (N, T, E), softmax(vᵀ tanh(Wq + Uk)) times the memory."""

    group = "Attention"
    title = "Additive attention"
    summary = "Each step attends to another sequence; a small network computes the scores (Bahdanau attention)"
    keywords = ("bahdanau", "attention", "seq2seq", "translation", "memory", "alignment", "rnn")
    url = "https://arxiv.org/abs/1409.0473"
    attention_queries = "steps"

    hidden: int = Field(64, ge=1, le=65_536, description="Hidden size of the scoring network")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability of the attention weights in training")
    masked: bool = Field(False, description="Add a third port for a padding mask of the memory")

    @classmethod
    def examples(cls) -> list[Example]:
        ports = {"in": SAMPLES["sequence"], "memory": TensorSpec((None, 5, 12))}
        return [Example(inputs=ports), Example({"masked": True}, {**ports, "mask": masks(5)})]

    def inputs(self) -> tuple[Port, ...]:
        queries = Port("in", ("sequence",), "Queries, (N, T, D)")
        return (queries, Port("memory", ("sequence",), "Memory (keys and values), (N, S, E)"), *mask_port(self.masked))

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        check_mask(specs, "in", "memory")
        sizes = (specs["in"].size(2), specs["memory"].size(2), self.hidden)
        return Call("AdditiveAttention", sizes, changed_options(self, dropout=0.0))

    def brief(self) -> str:
        return f"{self.hidden} wide"


class AttentionPooling(Layer):
    """(N, T, D) -> (N, D), the sum of softmax(vᵀ tanh(Wx + b)) x over all steps."""

    group = "Attention"
    title = "Attention pooling"
    summary = "Pools a sequence to one vector: a mean of its steps with learned attention weights"
    keywords = ("attention", "pool", "weighted mean", "summary", "hierarchical", "rnn", "sentence")
    url = "https://aclanthology.org/N16-1174/"
    attention_queries = "summary"

    hidden: int = Field(64, ge=1, le=65_536, description="Hidden size of the scoring network")
    masked: bool = Field(False, description="Add a second port for a padding mask")

    @classmethod
    def examples(cls) -> list[Example]:
        sequence = SAMPLES["sequence"]
        return [Example(inputs={"in": sequence}), Example({"masked": True}, {"in": sequence, "mask": masks(8)})]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, T, D)"), *key_port(self.masked))

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("vector",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        check_mask(specs, "in", "in")
        return Call("AttentionPooling", (specs["in"].size(2), self.hidden))

    def brief(self) -> str:
        return f"{self.hidden} wide"
