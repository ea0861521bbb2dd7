"""Layers over graphs, such as molecules: what the vertices are, and which of them are joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from netloom.layers.layer import Call, Example, Layer, Port, TensorSpec


class _GraphLayer(Layer):
    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("in", ("sequence",), "What each vertex is, (N, V, D)"),
            Port("adjacency", ("sequence",), "How vertices are joined, (N, V, V): 1 for an edge, 0 for none"),
        )

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",), "One row for each vertex"),)

    def _dim(self, specs: Mapping[str, TensorSpec]) -> int:
        vertices, dim = specs["in"].size(1), specs["in"].size(2)
        if specs["adjacency"].shape != (None, vertices, vertices):
            raise ValueError(
                f"for {vertices} vertices the adjacency is a tensor (N, {vertices}, {vertices}), but it is "
                f"{specs['adjacency']}; give one row and one column for each vertex"
            )
        return dim

    @classmethod
    def examples(cls) -> list[Example]:
        return [Example({"units": 5}, {"in": TensorSpec((None, 4, 3)), "adjacency": TensorSpec((None, 4, 4))})]


class GraphConvolution(_GraphLayer):
    """D⁻½ (A + I) D⁻½ X W + b, in (N, V, D), adjacency (N, V, V) -> (N, V, units)."""

    group = "Graph"
    title = "Graph convolution (GCN)"
    summary = "Each vertex of a graph becomes a weighted mean of itself and its neighbours"
    keywords = ("gcn", "graph neural network", "gnn", "node", "edge", "molecule", "adjacency", "message passing")
    url = "https://arxiv.org/abs/1609.02907"

    units: int = Field(32, ge=1, le=65_536, description="How many numbers come out for each vertex")
    bias: bool = Field(True, description="Whether a learned constant is added")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("GraphConvolution", (self._dim(specs), self.units), {} if self.bias else {"bias": False})

    def brief(self) -> str:
        return f"{self.units} units"


class GraphAttention(_GraphLayer):
    """in (N, V, D), adjacency (N, V, V) -> (N, V, heads · units), or (N, V, units) where heads are averaged."""

    group = "Graph"
    title = "Graph attention (GAT)"
    summary = "Each vertex of a graph chooses how much it takes from each neighbour"
    keywords = ("gat", "graph neural network", "gnn", "node", "edge", "attention", "adjacency", "message passing")
    url = "https://arxiv.org/abs/1710.10903"

    units: int = Field(8, ge=1, le=65_536, description="How many numbers each head gives for each vertex")
    heads: int = Field(4, ge=1, le=1_024, description="How many attend side by side")
    combine: Literal["concat", "mean"] = Field("concat", description="The heads side by side, or their mean")
    dropout: float = Field(0.0, ge=0, lt=1, description="The share of weights that is dropped while training")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        optional = {"mean": self.combine == "mean", "dropout": self.dropout}
        kwargs = {key: value for key, value in optional.items() if value}
        return Call("GraphAttention", (self._dim(specs), self.units, self.heads), kwargs)

    def brief(self) -> str:
        return f"{self.heads} heads of {self.units}{', averaged' if self.combine == 'mean' else ''}"

    @classmethod
    def examples(cls) -> list[Example]:
        inputs = super().examples()[0].inputs
        return [Example({"units": 5, "heads": 2, "combine": combine}, inputs) for combine in ("concat", "mean")]
