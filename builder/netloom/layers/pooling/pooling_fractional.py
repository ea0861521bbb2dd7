"""Fractional max pooling: windows at random positions, so that each axis can shrink by less than half."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.convolution.convolution import RANKS, Lengths
from netloom.layers.layer import Call, Kind, Layer, Port, TensorSpec


class _Fractional(Layer):
    kind: ClassVar[Kind]

    kernel_size: int = Field(2, ge=1, le=1_024, description="Size of the window along each axis")
    ratio: float = Field(0.7, gt=0, lt=1, description="Ratio of output size to input size along each axis")
    size: Lengths = Field((), description="Output size along each axis; empty: from the ratio")

    @model_validator(mode="after")
    def _size(self) -> _Fractional:
        if self.size and len(self.size) != RANKS[self.kind]:
            raise FieldValueError(
                "size", f"must have one number for each of the {RANKS[self.kind]} axes, or be empty", self.size
            )
        return self

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", (self.kind,)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", (self.kind,)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        lengths = tuple(specs["in"].size(axis) for axis in range(2, len(specs["in"].shape)))
        size = self.size or tuple(int(length * self.ratio) for length in lengths)
        for length, output_length in zip(lengths, size, strict=True):
            if output_length < 1:
                raise ValueError(f"a ratio of {self.ratio:g} of a length of {length} is less than 1; raise it")
            if output_length + self.kernel_size - 1 > length:
                raise ValueError(
                    f"{output_length} windows of kernel_size={self.kernel_size} need a length of "
                    f"{output_length + self.kernel_size - 1}, received {length}; lower kernel_size or the output size"
                )
        return Call("FractionalMaxPool", (self.kernel_size, size))

    def brief(self) -> str:
        return "to " + "×".join(str(length) for length in self.size) if self.size else f"to {self.ratio:.0%}"


class FractionalMaxPool2d(_Fractional):
    """(N, C, H, W) -> (N, C, H', W'), the maximum of each window."""

    group = "Pooling"
    title = "Fractional max pool 2D"
    summary = "Maxima over windows of an image at random positions in training and at regular positions in evaluation"
    keywords = ("downsample", "maximum", "random", "stochastic", "subsampling")
    url = "https://arxiv.org/abs/1412.6071"
    kind = "image"


class FractionalMaxPool3d(_Fractional):
    """(N, C, D, H, W) -> (N, C, D', H', W'), the maximum of each window."""

    group = "Pooling"
    title = "Fractional max pool 3D"
    summary = "Maxima over windows of a volume at random positions in training and at regular positions in evaluation"
    keywords = ("downsample", "maximum", "random", "stochastic", "video", "voxel")
    url = "https://arxiv.org/abs/1412.6071"
    kind = "volume"
