"""Layers on graphs, such as molecules, given by features of vertices and an adjacency matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from netloom.layers.channels import Channels, Read, TensorAxis, Width, axes
from netloom.layers.layer import Call, Example, Layer, Port, TensorSpec


class _GraphLayer(Layer):
    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("in", ("sequence",), "Features of each vertex, (N, V, D)"),
            Port("adjacency", ("sequence",), "Adjacency matrix, (N, V, V): 1 for an edge, 0 for none"),
        )

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",), "Features of each vertex"),)

    def _dim(self, specs: Mapping[str, TensorSpec]) -> int:
        vertices, dim = specs["in"].size(1), specs["in"].size(2)
        if specs["adjacency"].shape != (None, vertices, vertices):
            raise ValueError(
                f"{vertices} vertices need an adjacency matrix (N, {vertices}, {vertices}), received "
                f"{specs['adjacency']}; provide one row and one column for each vertex"
            )
        return dim

    @classmethod
    def examples(cls) -> list[Example]:
        return [Example({"units": 5}, {"in": TensorSpec((None, 4, 3)), "adjacency": TensorSpec((None, 4, 4))})]


class GraphConvolution(_GraphLayer):
    """D⁻½ (A + I) D⁻½ X W + b, in (N, V, D), adjacency (N, V, V) -> (N, V, units)."""

    group = "Graph"
    title = "Graph convolution (GCN)"
    summary = "Updates each vertex of a graph with a normalized sum over itself and its neighbors"
    keywords = ("gcn", "graph neural network", "gnn", "node", "edge", "molecule", "adjacency", "message passing")
    url = "https://arxiv.org/abs/1609.02907"

    units: int = Field(32, ge=1, le=65_536, description="Number of output features per vertex")
    bias: bool = Field(True, description="Add a learned bias")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("GraphConvolution", (self._dim(specs), self.units), {} if self.bias else {"bias": False})

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        weights = axes("linear.weight", *(("bias",) if self.bias else ()))
        width = Width("units", self.units, weights, {"out": -1})
        return Channels((Read(-1, (TensorAxis("linear.weight", 1),)),), (width,))

    def brief(self) -> str:
        return f"{self.units} units"


class GraphAttention(_GraphLayer):
    """in (N, V, D), adjacency (N, V, V) -> (N, V, heads · units), or (N, V, units) if heads are averaged."""

    group = "Graph"
    title = "Graph attention (GAT)"
    summary = "Updates each vertex of a graph with an attention-weighted sum over its neighbors"
    keywords = ("gat", "graph neural network", "gnn", "node", "edge", "attention", "adjacency", "message passing")
    url = "https://arxiv.org/abs/1710.10903"
    attention_queries = "steps"

    units: int = Field(8, ge=1, le=65_536, description="Number of output features per head and vertex")
    heads: int = Field(4, ge=1, le=1_024, description="Number of attention heads")
    combine: Literal["concat", "mean"] = Field(
        "concat", description="How the heads are combined: concatenated or averaged"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability of the attention weights in training")

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
