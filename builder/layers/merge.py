"""Layers that join branches."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_lowercase

from pydantic import Field

from builder.layers.base import Call, Layer, Port, TensorSpec


class _Merge(Layer):
    count: int = Field(2, ge=2, le=16, description="How many branches come together")

    def inputs(self) -> tuple[Port, ...]:
        return tuple(Port(letter, ("vector", "sequence", "image")) for letter in ascii_lowercase[: self.count])

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(type(self).__name__)

    def brief(self) -> str:
        return f"{self.count} branches" if self.count > 2 else ""


class _Elementwise(_Merge):
    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        shapes = [specs[port.name] for port in self.inputs()]
        if len({len(spec.shape) for spec in shapes}) > 1 or any(
            len({size for size in sizes if size != 1}) > 1
            for sizes in zip(*(spec.shape for spec in shapes), strict=True)
        ):
            listed = " and ".join(str(spec) for spec in shapes)
            raise ValueError(f"{listed} do not fit each other; make the branches equal in shape")
        return super().build(specs)


class Add(_Elementwise):
    """Elementwise sum of equal shapes."""

    group = "Merge"
    title = "Add"
    summary = "The sum of two or more branches, as in a residual connection"
    keywords = ("sum", "residual", "skip", "plus")
    url = "https://arxiv.org/abs/1512.03385"


class Multiply(_Elementwise):
    """Elementwise product of equal shapes."""

    group = "Merge"
    title = "Multiply"
    summary = "The product of two or more branches, as in a gate"
    keywords = ("product", "gate", "times")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.mul.html"


class Concat(_Merge):
    """Side by side along one axis, such as (N, A) and (N, B) -> (N, A + B)."""

    group = "Merge"
    title = "Concat"
    summary = "Two or more branches side by side along one axis"
    keywords = ("join", "cat", "concatenate", "merge")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.cat.html"

    axis: int = Field(1, ge=1, le=4, description="The axis along which they are joined, counted from 1 after the batch")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        shapes = [specs[port.name] for port in self.inputs()]
        rank = len(shapes[0].shape)
        if self.axis >= rank:
            raise ValueError(f"axis={self.axis} is not an axis of {shapes[0]}")
        rest = {(spec.shape[: self.axis], spec.shape[self.axis + 1 :]) for spec in shapes}
        if len({len(spec.shape) for spec in shapes}) > 1 or len(rest) > 1:
            listed = " and ".join(str(spec) for spec in shapes)
            raise ValueError(f"{listed} must be equal in all axes but axis {self.axis}, along which they are joined")
        return Call("Concat", (self.axis,))

    def brief(self) -> str:
        return f"axis {self.axis}"
