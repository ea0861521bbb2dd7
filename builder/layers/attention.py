"""Attention: every step looks at every other."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from builder.layers.base import Call, Layer, Port, TensorSpec


class _Attention(Layer):
    heads: int = Field(4, ge=1, le=1_024, description="How many attend side by side; must divide the width")
    dropout: float = Field(0.0, ge=0, lt=1, description="The share of weights that is dropped while training")
    causal: bool = Field(False, description="Each step sees only itself and what came before, as in text generation")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, T, D)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def brief(self) -> str:
        return f"{self.heads} heads{', causal' if self.causal else ''}"

    def _options(self) -> dict[str, float | bool]:
        return {key: value for key, value in (("dropout", self.dropout), ("causal", self.causal)) if value}


class MultiHeadAttention(_Attention):
    """(N, T, D) -> (N, T, D)."""

    group = "Attention"
    title = "Multi-head self-attention"
    summary = "Every step of a sequence gathers from the steps that matter to it"
    keywords = ("attention", "transformer", "self-attention", "heads")
    url = "https://arxiv.org/abs/1706.03762"

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("MultiHeadAttention", (specs["in"].size(2), self.heads), self._options())


class TransformerEncoderBlock(_Attention):
    """(N, T, D) -> (N, T, D)."""

    group = "Attention"
    title = "Transformer encoder block"
    summary = "Self-attention and a feed-forward pair, each with a residual and a layer norm"
    keywords = ("attention", "transformer", "encoder", "bert", "gpt", "heads")
    url = "https://arxiv.org/abs/1706.03762"

    hidden: int = Field(128, ge=1, le=1_000_000, description="The width in the middle of the feed-forward pair")
    norm_first: bool = Field(True, description="Normalise before each part, which trains more steadily, or after")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        options = self._options() | ({} if self.norm_first else {"norm_first": False})
        return Call("TransformerEncoderBlock", (specs["in"].size(2), self.heads, self.hidden), options)
