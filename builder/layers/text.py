"""From tokens to vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from builder.layers.base import Call, Layer, Port, TensorSpec


class Embedding(Layer):
    """A learned vector for every token, (N, T) -> (N, T, dim)."""

    group = "Text"
    title = "Embedding"
    summary = "A learned vector for every token"
    keywords = ("tokens", "words", "lookup", "vocabulary")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html"

    vocabulary: int = Field(1000, ge=2, le=10_000_000, description="How many different tokens there are")
    dim: int = Field(32, ge=1, le=65_536, description="The width of each token's vector")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("tokens",), "Token numbers"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.Embedding", (self.vocabulary, self.dim))

    def brief(self) -> str:
        return f"{self.vocabulary:,} × {self.dim}"


class PositionalEmbedding(Layer):
    """Adds where each step stands, (N, T, D) -> (N, T, D)."""

    group = "Text"
    title = "Positional embedding"
    summary = "Tells a Transformer where in the sequence each step stands"
    keywords = ("position", "encoding", "sinusoidal", "transformer")
    url = "https://arxiv.org/abs/1706.03762"

    kind: Literal["learned", "sinusoidal"] = Field("learned", description="Trained vectors, or fixed sines and cosines")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        length, dim = specs["in"].size(1), specs["in"].size(2)
        return Call("PositionalEmbedding", (length, dim), {} if self.kind == "learned" else {"learned": False})

    def brief(self) -> str:
        return self.kind
