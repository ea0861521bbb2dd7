"""Layers of torch.nn with two inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from netloom.layers.layer import SAMPLES, Call, Example, Kind, Layer, Port, TensorSpec


class _Pair(Layer):
    kinds: ClassVar[tuple[Kind, ...]] = ("vector", "sequence", "image")

    @classmethod
    def examples(cls) -> list[Example]:
        return [Example(inputs={"a": SAMPLES[kind], "b": SAMPLES[kind]}) for kind in cls.kinds]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("a", self.kinds), Port("b", self.kinds))


class PairwiseDistance(_Pair):
    """(Σ |a − b + ε|ᵖ)^(1/p) over the last axis, which gets the length 1: (N, D), (N, D) -> (N, 1)."""

    group = "Merge"
    title = "Pairwise distance"
    summary = "The distance between two vectors"
    keywords = ("euclidean", "l2", "manhattan", "compare", "siamese", "contrastive")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.PairwiseDistance.html"

    p: float = Field(
        2.0, ge=1, le=100, description="Order of the norm: 1 is the Manhattan distance, 2 the Euclidean distance"
    )
    epsilon: float = Field(
        1e-6, gt=0, le=1, description="Added to each difference, so that the gradient stays finite at 0"
    )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if specs["a"].shape != specs["b"].shape:
            raise ValueError(f"{specs['a']} and {specs['b']} must have the same shape")
        kwargs = {"p": (self.p, 2.0), "eps": (self.epsilon, 1e-6)}
        changed: dict[str, float | bool] = {key: value for key, (value, default) in kwargs.items() if value != default}
        # With keepdim, two vectors give (N, 1), which further layers accept as a vector.
        return Call("nn.PairwiseDistance", (), changed | {"keepdim": True})

    def brief(self) -> str:
        return f"p = {self.p:g}"


class Bilinear(_Pair):
    """y = aᵀ·A·b + c over the last axes, with a learned A for every unit: (N, D), (N, E) -> (N, units)."""

    group = "Dense"
    title = "Bilinear"
    summary = "A weighted sum of all products of two features, one from each input, for each unit"
    keywords = ("dense", "product", "interaction", "two inputs")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Bilinear.html"

    units: int = Field(64, ge=1, le=1_000_000, description="Number of output features")
    bias: bool = Field(True, description="Add a learned bias")

    @classmethod
    def examples(cls) -> list[Example]:
        vectors = {"a": SAMPLES["vector"], "b": TensorSpec((None, 7))}
        sequences = {"a": SAMPLES["sequence"], "b": TensorSpec((None, 8, 5))}
        return [Example({"units": 6}, vectors), Example({"units": 3, "bias": False}, sequences)]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if specs["a"].shape[:-1] != specs["b"].shape[:-1]:
            raise ValueError(f"{specs['a']} and {specs['b']} must be equal in all axes except the last")
        args = (specs["a"].size(-1), specs["b"].size(-1), self.units)
        return Call("nn.Bilinear", args, {} if self.bias else {"bias": False})

    def brief(self) -> str:
        return f"{self.units} units"
