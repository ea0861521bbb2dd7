"""Convolutions: the same small filter at every place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from builder.layers.base import Call, Kind, Layer, Port, TensorSpec


class _Convolution(Layer):
    kind: ClassVar[Kind]

    filters: int = Field(32, ge=1, le=65_536, description="How many channels come out")
    kernel_size: int = Field(3, ge=1, le=1_024, description="The length of the filter along each axis")
    stride: int = Field(1, ge=1, le=1_024, description="How far the filter moves each time")
    padding: int = Field(1, ge=0, le=1_024, description="Zeros added at each border")
    dilation: int = Field(1, ge=1, le=1_024, description="The distance between the places that the filter looks at")
    groups: int = Field(1, ge=1, le=65_536, description="Channels are split into this many groups that do not mix")
    bias: bool = Field(True, description="Whether a learned constant is added to each channel")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", (self.kind,)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", (self.kind,)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        channels = specs["in"].size(1)
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"groups={self.groups} must divide the {channels} channels that come in and the {self.filters} filters"
            )
        defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
        kwargs = {key: getattr(self, key) for key, value in defaults.items() if getattr(self, key) != value}
        return Call(f"nn.{type(self).__name__}", (channels, self.filters, self.kernel_size), kwargs)


class Conv1d(_Convolution):
    """(N, C, L) -> (N, filters, L')."""

    group = "Convolution"
    title = "Conv 1D"
    summary = "Filters that slide along a sequence laid out as (N, channels, length)"
    keywords = ("cnn", "convolution", "filter", "temporal", "audio", "series")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv1d.html"
    kind = "sequence"

    def brief(self) -> str:
        return f"{self.filters} × {self.kernel_size}"


class Conv2d(_Convolution):
    """(N, C, H, W) -> (N, filters, H', W')."""

    group = "Convolution"
    title = "Conv 2D"
    summary = "Filters that slide over an image"
    keywords = ("cnn", "convolution", "filter", "image", "vision")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html"
    kind = "image"

    def brief(self) -> str:
        return f"{self.filters} × {self.kernel_size}×{self.kernel_size}"
