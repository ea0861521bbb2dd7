"""Layers for tables: embeddings of columns, and interactions between columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec

Size = Annotated[int, Field(ge=1, le=10_000_000)]


class CategoricalEmbedding(Layer):
    """Integers (N, F) -> (N, F, dim)."""

    group = "Table"
    title = "Categorical embedding"
    summary = "A learned vector for each category of each column"
    keywords = ("category", "columns", "entity embedding", "lookup", "tabular", "one-hot")
    url = "https://arxiv.org/abs/1604.06737"
    is_embedding = True
    is_linear = True
    decays_weights = False

    sizes: Annotated[tuple[Size, ...], Field(strict=False, min_length=1, max_length=1_024)] = Field(
        (10, 10), description="Number of categories of each column, separated by commas; categories are counted from 0"
    )
    dim: int = Field(8, ge=1, le=65_536, description="Size of each vector")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("tokens",), "Category of each column, integers (N, F)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",), "One vector for each column"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        columns = specs["in"].size(1)
        if columns != len(self.sizes):
            raise ValueError(
                f"sizes={self.sizes} has {len(self.sizes)} numbers, but the input has {columns} columns; set one "
                "number per column"
            )
        return Call("CategoricalEmbedding", (self.sizes, self.dim))

    def brief(self) -> str:
        return f"{sum(self.sizes):,} × {self.dim}"

    @classmethod
    def examples(cls) -> list[Example]:
        return [Example({"sizes": [4, 6, 5]}, {"in": TensorSpec((None, 3), "int")}, high=4)]


class HashedEmbedding(Layer):
    """Integers (N, F) -> (N, F, dim): the vector number x mod buckets."""

    group = "Table"
    title = "Hashed embedding"
    summary = "A learned vector for any integer; integers with the same remainder share one"
    keywords = ("hashing trick", "buckets", "category", "unknown", "lookup", "tabular", "ids")
    url = "https://arxiv.org/abs/0902.2206"
    is_embedding = True
    is_linear = True
    decays_weights = False

    buckets: int = Field(1_000, ge=1, le=10_000_000, description="Number of vectors")
    dim: int = Field(8, ge=1, le=65_536, description="Size of each vector")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("tokens",), "Integers of any size, (N, F)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",), "A vector for each integer"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("HashedEmbedding", (self.buckets, self.dim))

    def brief(self) -> str:
        return f"{self.buckets:,} × {self.dim}"


class NumericalEmbedding(Layer):
    """x w + b with a w and a b for each column, (N, F) -> (N, F, dim)."""

    group = "Table"
    title = "Numerical embedding"
    summary = "Maps each number of a row to a vector, so that a Transformer can process the row"
    keywords = ("feature tokenizer", "ft-transformer", "columns", "numbers", "tabular")
    url = "https://arxiv.org/abs/2106.11959"
    is_linear = True
    decays_weights = False

    dim: int = Field(8, ge=1, le=65_536, description="Size of each vector")
    bias: bool = Field(True, description="Add a learned bias for each column")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector",), "A number for each column, (N, F)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",), "One vector for each column"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("NumericalEmbedding", (specs["in"].size(1), self.dim), {} if self.bias else {"bias": False})

    def brief(self) -> str:
        return f"{self.dim} wide"


class FactorizationMachine(Layer):
    """Σ over pairs i < j of vᵢ · vⱼ, (N, F, K) -> (N, 1), or (N, K) without the sum over K."""

    group = "Table"
    title = "Factorization machine"
    summary = "The pairwise interactions of all columns: the sum of their dot products"
    keywords = ("fm", "deepfm", "interaction", "recommender", "click", "pairs", "bi-interaction")
    url = "https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf"

    give: Literal["sum", "products"] = Field("sum", description="One value per row, or K values")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "One vector for each column, (N, F, K)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("vector",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("FactorizationMachine", (), {"total": False} if self.give == "products" else {})

    def brief(self) -> str:
        return "" if self.give == "sum" else self.give

    @classmethod
    def examples(cls) -> list[Example]:
        return [Example({"give": give}, {"in": SAMPLES["sequence"]}) for give in ("sum", "products")]


class PairwiseInteraction(Layer):
    """vᵢ · vⱼ for each pair i < j, (N, F, K) -> (N, F (F − 1) / 2)."""

    group = "Table"
    title = "Pairwise interaction"
    summary = "The dot product of each pair of columns"
    keywords = ("dlrm", "dot product", "interaction", "recommender", "pairs")
    url = "https://arxiv.org/abs/1906.00091"

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "One vector for each column, (N, F, K)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("vector",), "One number for each pair"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        columns = specs["in"].size(1)
        if columns < 2:
            raise ValueError(f"{specs['in']} has one column, but pairs need at least two")
        return Call("PairwiseInteraction", (columns,))


class _Cross(Layer):
    rank: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="Rank of the weight matrices, which reduces the number of parameters; empty: full rank",
    )

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("vector",)),)

    def _options(self) -> dict[str, int]:
        return {} if self.rank is None else {"rank": self.rank}


class CrossNetwork(_Cross):
    """xₗ₊₁ = x₀ · (W xₗ + b) + xₗ, (N, D) -> (N, D)."""

    group = "Table"
    title = "Cross network"
    summary = "Explicit feature crosses (DCN v2); each layer raises their degree by one"
    keywords = ("dcn", "deep and cross", "interaction", "polynomial", "recommender", "tabular")
    url = "https://arxiv.org/abs/2008.13535"

    layers: int = Field(2, ge=1, le=64, description="Number of cross layers; crosses have up to one feature more")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector",), "(N, D)"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("CrossNetwork", (specs["in"].size(1), self.layers), self._options())

    def brief(self) -> str:
        return f"{self.layers} layers{f' of rank {self.rank}' if self.rank else ''}"

    @classmethod
    def examples(cls) -> list[Example]:
        return [Example({"rank": rank}, {"in": SAMPLES["vector"]}) for rank in (None, 3)]


class CrossInteraction(_Cross):
    """first · (W x + b) + x, first (N, D), in (N, D) -> (N, D)."""

    group = "Table"
    title = "Cross interaction"
    summary = "One layer of a cross network: the original features times a learned mix of the current ones"
    keywords = ("dcn", "deep and cross", "gate", "polynomial", "recommender", "tabular")
    url = "https://arxiv.org/abs/2008.13535"

    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("first", ("vector",), "Original features, (N, D)"),
            Port("in", ("vector",), "Output of the previous step, (N, D)"),
        )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        first, spec = specs["first"], specs["in"]
        if first.shape != spec.shape:
            raise ValueError(f"first {first} and in {spec} are multiplied, so they must have the same shape")
        return Call("CrossInteraction", (spec.size(1),), self._options())

    def brief(self) -> str:
        return f"rank {self.rank}" if self.rank else ""
