"""Embeddings of tokens and positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.channels import Channels, PreservedChannels, TensorAxis, Width
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec


class Embedding(Layer):
    """A learned vector for every token, (N, T) -> (N, T, dim)."""

    group = "Text"
    title = "Embedding"
    summary = "A learned vector for every token"
    keywords: ClassVar[tuple[str, ...]] = ("tokens", "words", "lookup", "vocabulary")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html"
    is_embedding = True
    is_linear = True
    makes_representation = False
    decays_weights = False
    supports_weight_tying = True
    is_common = True

    vocabulary: int = Field(1000, ge=2, le=10_000_000, description="Size of the vocabulary")
    dim: int = Field(32, ge=1, le=65_536, description="Size of each vector")
    padding_token: int | None = Field(
        None, ge=0, le=9_999_999, description="Padding token, whose vector stays 0; empty: none"
    )

    @model_validator(mode="after")
    def _known(self) -> Embedding:
        if self.padding_token is not None and self.padding_token >= self.vocabulary:
            raise FieldValueError(
                "padding_token", f"must be less than vocabulary={self.vocabulary}", self.padding_token
            )
        return self

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("tokens",), "Token ids"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        kwargs = {} if self.padding_token is None else {"padding_idx": self.padding_token}
        return Call("nn.Embedding", (self.vocabulary, self.dim), kwargs)

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        return Channels(widths=(Width("dim", self.dim, (TensorAxis("weight", 1),), {"out": -1}),))

    def brief(self) -> str:
        return f"{self.vocabulary:,} × {self.dim}"


class EmbeddingBag(Embedding):
    """The mean, sum or maximum of the vectors of all tokens of a text, (N, T) -> (N, dim)."""

    group = "Text"
    title = "Embedding bag"
    summary = "One vector per text: pools a learned vector for every token, independent of their order"
    keywords = ("tokens", "words", "bag of words", "fasttext", "lookup", "vocabulary")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.EmbeddingBag.html"
    is_embedding = False
    is_linear = False
    makes_representation = True
    supports_weight_tying = False
    is_common = False

    mode: Literal["mean", "sum", "max"] = Field("mean", description="How the vectors are pooled")
    padding_token: int | None = Field(
        None, ge=0, le=9_999_999, description="Padding token, which is ignored; empty: none"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        modes = ("mean", "sum", "max")
        return [Example({"mode": mode, "padding_token": 0}, {"in": SAMPLES["tokens"]}) for mode in modes]

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("vector",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        kwargs: dict[str, str | int] = {} if self.mode == "mean" else {"mode": self.mode}
        if self.padding_token is not None:
            kwargs["padding_idx"] = self.padding_token
        return Call("nn.EmbeddingBag", (self.vocabulary, self.dim), kwargs)


class PositionalEmbedding(Layer):
    """Adds a vector for the position of each step, (N, T, D) -> (N, T, D)."""

    group = "Text"
    title = "Positional embedding"
    summary = "Adds a vector for the position of each step, which a Transformer needs"
    keywords = ("position", "encoding", "sinusoidal", "transformer")
    url = "https://arxiv.org/abs/1706.03762"
    is_linear = True
    decays_weights = False
    is_common = True

    kind: Literal["learned", "sinusoidal"] = Field("learned", description="Learned vectors, or fixed sines and cosines")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        length, dim = specs["in"].size(1), specs["in"].size(2)
        return Call("PositionalEmbedding", (length, dim), {} if self.kind == "learned" else {"learned": False})

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels | None:
        # Sines and cosines of a narrower embedding have other frequencies.
        return Channels(preserved=PreservedChannels(2, (TensorAxis("weight", 1),))) if self.kind == "learned" else None

    def brief(self) -> str:
        return self.kind
