"""Layers that only change a tensor's shape, or take a mean or maximum over one axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from builder.layers.base import SAMPLES, Call, Example, Kind, Layer, Port, TensorSpec

Size = Annotated[int, Field(ge=-1, le=100_000_000)]


class Flatten(Layer):
    """(N, …) -> (N, D)."""

    group = "Shape"
    title = "Flatten"
    summary = "All numbers of an example in one row"
    keywords = ("vector", "reshape", "unroll")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html"

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("vector",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.Flatten")


class Reshape(Layer):
    """(N, …) -> (N, *shape)."""

    group = "Shape"
    title = "Reshape"
    summary = "The same numbers in another shape"
    keywords = ("view", "unflatten")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.reshape.html"

    shape: Annotated[tuple[Size, ...], Field(strict=False, min_length=1, max_length=5)] = Field(
        (-1,), description="The new shape without the batch axis; one entry may be -1, to be filled in"
    )

    @model_validator(mode="after")
    def _fillable(self) -> Reshape:
        if self.shape.count(-1) > 1 or 0 in self.shape:
            raise ValueError("a shape is made of positive numbers, and at most one -1")
        return self

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"shape": [-1, 4]}, {"in": SAMPLES["vector"]}),
            Example({"shape": [2, -1]}, {"in": SAMPLES["image"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("Reshape", (self.shape,))

    def brief(self) -> str:
        return "N, " + ", ".join(str(size) for size in self.shape)


class Permute(Layer):
    """(N, A, B, …) with the axes after N in another order."""

    group = "Shape"
    title = "Permute"
    summary = "The axes of an example in another order, such as 2, 1 to swap two"
    keywords = ("transpose", "swap", "channels first", "channels last")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.permute.html"

    order: Annotated[tuple[int, ...], Field(strict=False, min_length=1, max_length=4)] = Field(
        (2, 1), description="The axes, counted from 1, in their new order"
    )

    @model_validator(mode="after")
    def _order(self) -> Permute:
        if sorted(self.order) != list(range(1, len(self.order) + 1)):
            raise ValueError(f"an order names each axis from 1 to {len(self.order)} once")
        return self

    @classmethod
    def examples(cls) -> list[Example]:
        orders: dict[Kind, list[int]] = {"vector": [1], "sequence": [2, 1], "image": [3, 1, 2]}
        return [Example({"order": order}, {"in": SAMPLES[kind]}) for kind, order in orders.items()]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axes = len(specs["in"].shape) - 1
        if axes != len(self.order):
            raise ValueError(f"order={self.order} names {len(self.order)} axes, but {specs['in']} has {axes} after N")
        return Call("Permute", (self.order,))

    def brief(self) -> str:
        return "N, " + ", ".join(str(axis) for axis in self.order)


class _Reduction(Layer):
    axis: int = Field(1, ge=1, le=4, description="The axis that goes, counted from 1 after the batch axis")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence", "image")),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if self.axis >= len(specs["in"].shape):
            raise ValueError(f"axis={self.axis} is not an axis of {specs['in']}")
        return Call(type(self).__name__, (self.axis,))

    def brief(self) -> str:
        return f"axis {self.axis}"


class Mean(_Reduction):
    """The mean over one axis, such as (N, T, D) -> (N, D)."""

    group = "Shape"
    title = "Mean over an axis"
    summary = "The average over one axis, such as the steps of a sequence"
    keywords = ("average", "pool", "reduce")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.mean.html"


class Max(_Reduction):
    """The maximum over one axis, such as (N, T, D) -> (N, D)."""

    group = "Shape"
    title = "Max over an axis"
    summary = "The greatest value along one axis, such as the steps of a sequence"
    keywords = ("maximum", "pool", "reduce")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.amax.html"
